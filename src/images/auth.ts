import { createHmac, randomBytes } from 'node:crypto';
import { AuthConfig } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { ImagesConfig } from '../config/schema.js';
import type { RegistryAuth } from '../containerd/containerd.js';
import { hostOf } from './registry-hosts.js';

/**
 * Returns the credentials for `host`, or undefined for none. `hosts`: the registry of the reference and its mirrors.
 */
export type Credentials = (host: string, hosts: readonly string[]) => RegistryAuth | undefined;

/**
 * Returns the credentials of a pull, or undefined when there are none: those of the request, else the configured ones
 * for the host that asks. Those of the request are for the registry in `server_address`; when that is empty, for the
 * reference's own registry and its mirrors in the node's `hosts.toml`, as in containerd's CRI plugin. A host that only
 * a manifest or a redirect names gets none (CVE-2020-15157). Throws INVALID_ARGUMENT, without the value, for malformed
 * credentials.
 */
export function credentialsFor(
  auth: AuthConfig | undefined,
  registry: Pick<ImagesConfig['registry'], 'configs' | 'auths'>,
): Credentials | undefined {
  const requested = auth && registryAuthOf(auth, 'auth');
  if (auth && requested) {
    const isFor = (host: string, owner: string): boolean => hostOf(owner) === hostOf(host);
    return (host, hosts) => {
      const owners = auth.server_address === '' ? hosts : [auth.server_address];
      return owners.some((owner) => isFor(host, owner)) ? requested : undefined;
    };
  }
  const configured = configuredAuth(registry);
  return configured.size === 0 ? undefined : (host) => configured.get(hostOf(host));
}

/** Equal for equal snapshotters and credentials. The key belongs to this process alone, so the text reveals nothing. */
export const fingerprintOf = (snapshotter: string, auth: AuthConfig | undefined): string =>
  createHmac('sha256', FINGERPRINT_KEY)
    .update(JSON.stringify([snapshotter, AuthConfig.fromPartial(auth ?? {})]))
    .digest('hex');

const FINGERPRINT_KEY = randomBytes(32);

function configuredAuth({ configs, auths }: Pick<ImagesConfig['registry'], 'configs' | 'auths'>) {
  const found = new Map<string, RegistryAuth>();
  const both = [
    ...Object.entries(auths).map(([host, auth]) => ({ host, auth, name: 'auths' })),
    ...Object.entries(configs).map(([host, { auth }]) => ({ host, auth, name: 'configs' })),
  ];
  for (const { host, auth, name } of both) {
    const fields = { ...auth, identity_token: auth.identitytoken, registry_token: '' };
    const parsed = registryAuthOf(fields, `images.registry.${name}.${host}`);
    if (parsed) found.set(hostOf(host), parsed);
  }
  return found;
}

function registryAuthOf(auth: Omit<AuthConfig, 'server_address'>, field: string): RegistryAuth | undefined {
  if (auth.username !== '') return { username: auth.username, password: auth.password };
  if (auth.identity_token !== '') return { identityToken: auth.identity_token };
  if (auth.auth !== '') return decoded(auth.auth, `${field}.auth`);
  if (auth.registry_token !== '') throw invalidArgument(`${field}.registry_token`, NO_TOKENS);
  return undefined;
}

/**
 * containerd's transfer service takes a bearer token only as a header of all its requests, so that every host in a
 * manifest's `urls` would receive it.
 */
const NO_TOKENS = 'not supported, give a user name and password or an identity token';

/** Decodes base64 of `user:password`, as in Docker's config.json; some writers pad the text with zero bytes. */
function decoded(auth: string, field: string): RegistryAuth {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(auth.trim()) || colon < 0) {
    throw invalidArgument(field, 'expected base64 of user:password');
  }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
