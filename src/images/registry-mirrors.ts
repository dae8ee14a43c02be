import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import type { ImagesConfig } from '../config/schema.js';
import { hostOf } from './registry-hosts.js';

type Registry = ImagesConfig['registry'];

/**
 * Returns the `config_path` for pulls. The mirrors of old files (`registry.mirrors`), which exclude a `config_path`,
 * become hosts.toml files in `folder`, because containerd's transfer service takes hosts only from such files. Replaces
 * what `folder` held.
 */
export async function hostsOfMirrors({ config_path, mirrors }: Registry, folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  const registries = Object.entries(mirrors);
  if (registries.length === 0) return config_path;
  for (const [registry, { endpoint }] of registries) {
    const own = join(folder, registry === '*' ? '_default' : registry);
    await mkdir(own, { recursive: true, mode: 0o700 });
    await writeFile(join(own, 'hosts.toml'), hostsToml(registry, endpoint));
  }
  return folder;
}

/**
 * Returns the content of a hosts.toml (containerd docs/hosts.md). As in containerd's CRI plugin, the endpoints are
 * tried in their order, and then the registry itself unless it is one of them. An endpoint's path is used as it stands,
 * without `/v2`. containerd tries `server` last, and the registry itself where no `server` is given.
 */
export function hostsToml(registry: string, endpoints: readonly string[]): string {
  const urls = endpoints.map(withScheme);
  const isOwn = urls.some((url) => hostOf(url) === hostOf(registry));
  const server = isOwn ? urls.at(-1) : undefined;
  const others = server === undefined ? urls : urls.slice(0, -1);
  return stringify({
    ...(server !== undefined && { server, ...accessTo(server) }),
    host: Object.fromEntries(others.map((url) => [url, accessTo(url)])),
  });
}

const accessTo = (url: string): object => ({
  capabilities: ['pull', 'resolve'],
  ...(/^https?:\/\/[^/]+\/./.test(url) && { override_path: true }),
});

/** As in containerd: http for this machine, https for every other one. */
function withScheme(endpoint: string): string {
  if (endpoint.includes('://')) return endpoint;
  const isLocal = /^(?:localhost|127\.[\d.]+|\[::1\])(?:[:/]|$)/.test(endpoint);
  return `${isLocal ? 'http' : 'https'}://${endpoint}`;
}
