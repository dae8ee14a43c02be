import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { CriError } from '../base/errors.js';
import type { PullRequest } from './containerd.js';
import { secretsOf } from './registry-auth.js';

/**
 * The Authorization header of a pull with a registry token. containerd's auth stream has no way for a ready-made
 * bearer token (its HEADER answers are read and dropped), and a resolver's headers go to every host it tries; so a
 * token is refused with FAILED_PRECONDITION where hosts.toml sends the reference's registry elsewhere.
 */
export async function registryTokenHeaders(
  { reference, credentials, hostDir }: PullRequest,
  secrets: Set<string>,
): Promise<Record<string, string>> {
  const host = registryHost(reference);
  const auth = credentials?.(host);
  if (!auth?.registryToken) return {};
  for (const secret of secretsOf(auth)) secrets.add(secret);
  const elsewhere = (await configuredHosts(hostDir, host)).find((other) => other !== host);
  if (elsewhere !== undefined) {
    throw new CriError(
      'FAILED_PRECONDITION',
      `a registry token for ${host} would also be sent to ${elsewhere}, which hosts.toml names for it`,
    );
  }
  return { Authorization: `Bearer ${auth.registryToken}` };
}

/** The host that containerd asks for the reference's registry. */
function registryHost(reference: string): string {
  const domain = reference.split('/')[0] ?? '';
  return domain === 'docker.io' ? 'registry-1.docker.io' : domain;
}

/** Hosts that certs.d names for `host`: the first folder that exists counts, as in containerd. */
async function configuredHosts(hostDir: string, host: string): Promise<string[]> {
  if (hostDir === '') return [];
  const domain = host === 'registry-1.docker.io' ? 'docker.io' : host;
  for (const folder of [domain, domain.replace(/:(\d+)$/, '_$1_'), '_default']) {
    const text = await readFile(join(hostDir, folder, 'hosts.toml'), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const { server, host: hosts } = parse(text) as { server?: string; host?: Record<string, unknown> };
    return [...Object.keys(hosts ?? {}), ...(server === undefined ? [] : [server])].map(hostOf);
  }
  return [];
}

const hostOf = (url: string): string => url.replace(/^[a-z]+:\/\//i, '').split('/')[0] ?? '';
