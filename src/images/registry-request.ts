import type { Config } from '../config/schema.js';
import type { PullRequest } from '../containerd/containerd.js';
import type { ImageReference } from '../state/image-reference.js';
import type { Credentials } from './auth.js';
import { registryHosts } from './registry-hosts.js';

/** Returns the part of a pull's request that says how to reach the registry of a reference. */
export async function registryRequest(
  { images: { registry } }: Pick<Config, 'images'>,
  reference: ImageReference,
  credentials: Credentials | undefined,
): Promise<Pick<PullRequest, 'reference' | 'credentials' | 'hostDir' | 'headers'>> {
  const { hostDir, hosts } = await registryHosts(registry.config_path, reference.domain);
  return {
    reference: reference.text,
    credentials: credentials && ((host: string) => credentials(host, hosts)),
    hostDir,
    headers: Object.fromEntries(Object.entries(registry.headers).map(([key, values]) => [key, values.join(', ')])),
  };
}
