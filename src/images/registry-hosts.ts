import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { exists } from '../host/files/files.js';

/** The hosts that serve the images of one registry. */
export interface RegistryHosts {
  /** The directory of `config_path` that containerd is to use: the transfer service takes only one. "" for none. */
  readonly hostDir: string;
  /** The registry, and the hosts that its `hosts.toml` names as mirrors or instead of it. */
  readonly hosts: readonly string[];
}

/**
 * Looks up a registry as containerd does (https://github.com/containerd/containerd/blob/main/docs/hosts.md): the first
 * existing directory is the only one used, with or without a `hosts.toml`. A malformed file gives no hosts.
 */
export async function registryHosts(configPath: string, domain: string): Promise<RegistryHosts> {
  const roots = configPath.split(':').filter((root) => root !== '');
  for (const root of roots) {
    for (const name of folderNames(domain)) {
      const folder = join(root, name);
      if (await exists(folder)) return { hostDir: root, hosts: [domain, ...(await hostsIn(folder))] };
    }
  }
  return { hostDir: roots[0] ?? '', hosts: [domain] };
}

/** Returns the host of `https://host:port/path` or `host:port`, with one name for the several names of Docker Hub. */
export function hostOf(address: string): string {
  const host = address
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/[/?#].*$/, '')
    .replace(/^.*@/, '')
    .toLowerCase();
  return DOCKER_HUB.includes(host) ? 'docker.io' : host;
}

const DOCKER_HUB: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

function folderNames(domain: string): string[] {
  const colon = domain.lastIndexOf(':');
  const escaped = colon > 0 ? [`${domain.slice(0, colon)}_${domain.slice(colon + 1)}_`] : [];
  return [...escaped, domain, '_default'];
}

async function hostsIn(folder: string): Promise<string[]> {
  try {
    const { server, host } = parse(await readFile(join(folder, 'hosts.toml'), 'utf8'));
    return [...Object.keys(typeof host === 'object' ? host : {}), ...(typeof server === 'string' ? [server] : [])];
  } catch {
    // containerd logs the file that it cannot read and uses the registry itself.
    return [];
  }
}
