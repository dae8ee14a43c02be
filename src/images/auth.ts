import type { AuthConfig } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { ImagesConfig } from '../config/schema.js';
import type { RegistryAuth } from '../containerd/containerd.js';

/**
 * The credentials for one host that asks: those of the request, else those that the configuration has for it. The
 * request's are for the registry of the reference alone, or for the one that `server_address` names: a manifest or a
 * redirect that leads elsewhere gets none (CVE-2020-15157).
 */
export function authFor(
  host: string,
  from: {
    readonly auth: AuthConfig | undefined;
    readonly domain: string;
    readonly configs: ImagesConfig['registry']['configs'];
  },
): RegistryAuth | undefined {
  if (from.auth) return isFor(host, from.auth, from.domain) ? parseAuth(from.auth) : undefined;
  const configured = from.configs[host]?.auth;
  return (
    configured &&
    parseAuth({ ...configured, identity_token: configured.identitytoken, registry_token: '', server_address: '' })
  );
}

const isFor = (host: string, auth: AuthConfig, domain: string): boolean =>
  hostOf(auth.server_address || domain) === hostOf(host);

/** The host of `https://host:port/path` or of `host:port`; Docker Hub goes by several names. */
function hostOf(address: string): string {
  const host = address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return ['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host;
}

function parseAuth(auth: AuthConfig): RegistryAuth | undefined {
  if (auth.registry_token !== '') return { registryToken: auth.registry_token };
  if (auth.identity_token !== '') return { identityToken: auth.identity_token };
  if (auth.username !== '') return { username: auth.username, password: auth.password };
  if (auth.auth === '') return undefined;
  const decoded = Buffer.from(auth.auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = decoded.indexOf(':');
  if (colon < 0) throw invalidArgument('auth.auth', 'expected base64 of user:password');
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
