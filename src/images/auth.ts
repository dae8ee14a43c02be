import { createHmac, randomBytes } from 'node:crypto';
import { AuthConfig } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { ImagesConfig } from '../config/schema.js';
import type { RegistryAuth } from '../containerd/containerd.js';

/** Answers a host's question for credentials; undefined: none for that host. */
export type Credentials = (host: string) => RegistryAuth | undefined;

/**
 * The credentials of a pull: the request's, else the configuration's for the host that asks. The request's are for the
 * registry that `server_address` names, else for the reference's own: a mirror, a manifest or a redirect that leads
 * elsewhere gets none (CVE-2020-15157). Undefined when there are none at all; INVALID_ARGUMENT without the value when
 * they make no sense.
 */
export function credentialsFor(
  reference: { readonly domain: string },
  auth: AuthConfig | undefined,
  registry: Pick<ImagesConfig['registry'], 'configs' | 'auths'>,
): Credentials | undefined {
  const requested = auth && registryAuthOf(auth, 'auth');
  if (auth && requested) {
    const owner = hostOf(auth.server_address || reference.domain);
    return (host) => (hostOf(host) === owner ? requested : undefined);
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
  return auth.registry_token === '' ? undefined : { registryToken: auth.registry_token };
}

/** base64 of `user:password`, as in Docker's config.json; some writers pad the text with zero bytes. */
function decoded(auth: string, field: string): RegistryAuth {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(auth.trim()) || colon < 0) {
    throw invalidArgument(field, 'expected base64 of user:password');
  }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** The host of `https://host:port/path` or of `host:port`. Docker Hub goes by several names. */
function hostOf(address: string): string {
  const host = address
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/[/?#].*$/, '')
    .toLowerCase();
  return DOCKER_HUB.includes(host) ? 'docker.io' : host;
}

const DOCKER_HUB: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
