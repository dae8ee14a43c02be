import { createHmac, randomBytes } from 'node:crypto';
import { AuthConfig } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { ImagesConfig } from '../config/schema.js';
import type { RegistryAuth } from '../containerd/containerd.js';
import { hostOf } from './registry-hosts.js';

/**
 * Answers a host's question for credentials; undefined: none for that host. `hosts`: the registry of the reference and
 * its mirrors.
 */
export type Credentials = (host: string, hosts: readonly string[]) => RegistryAuth | undefined;

/**
 * The credentials of a pull: the request's, else the configuration's for the host that asks. The request's are for the
 * registry that `server_address` names, else for the reference's own and the mirrors that the node's `hosts.toml` names
 * for it, as in containerd's CRI plugin. A host that only a manifest or a redirect names gets none (CVE-2020-15157).
 * Undefined when there are none at all; INVALID_ARGUMENT without the value when they make no sense.
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

/** Two pulls are equal only with equal credentials. Its key is of this process alone, so that nothing can be learnt from it. */
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
 * containerd's transfer service takes a bearer token only as a header of all its requests, so that every host would get
 * it that a manifest names (`urls`).
 */
const NO_TOKENS = 'not supported, give a user name and password or an identity token';

/** base64 of `user:password`, as in Docker's config.json; some writers pad the text with zero bytes. */
function decoded(auth: string, field: string): RegistryAuth {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(auth.trim()) || colon < 0) {
    throw invalidArgument(field, 'expected base64 of user:password');
  }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
