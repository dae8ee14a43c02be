import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'smol-toml';

/** Where the images of one registry come from. */
export interface RegistryHosts {
  /** The folder of `config_path` that containerd is to look in: the transfer service takes no list. "" for none. */
  readonly hostDir: string;
  /** The registry, and what its `hosts.toml` names instead of it or before it. */
  readonly hosts: readonly string[];
}

/**
 * Looks a registry up as containerd does (https://github.com/containerd/containerd/blob/main/docs/hosts.md): the first
 * folder that exists is the only one, with or without a `hosts.toml`. A file that makes no sense names no host.
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

/** The host of `https://host:port/path` or of `host:port`. Docker Hub goes by several names. */
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
    // containerd, which logs what it cannot read, then asks the registry itself.
    return [];
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
