import { CriError } from '../base/errors.js';
import { netnsIsOpen } from '../host/namespace/netns.js';
import type { AttachPorts } from './attach-pod.js';
import { delNetwork } from './del-network.js';
import type { NetworkPod } from './network.js';
import type { CachedAttachment } from './result-cache.js';
import { bareTarget, LOOPBACK_INTERFACE, type PodNetwork } from './target.js';

/**
 * Runs DEL of every network of the pod in the cache, with the configuration of its ADD. Also deletes the networks of
 * the present configuration whose interface is not in the cache: the cache may be lost while an address is still
 * reserved. Tries every network until `signal` aborts, then throws the first error.
 */
export async function detachPod(
  ports: AttachPorts,
  pod: NetworkPod,
  configured: readonly PodNetwork[],
  signal: AbortSignal,
): Promise<void> {
  const cached = (await ports.cache.ofContainer(pod.id)).map((attachment) => usable(attachment, configured));
  const known = new Set(cached.map(({ target }) => target.ifName));
  const unknown = await runnable(
    ports,
    configured.filter(({ ifName }) => !known.has(ifName) && ifName !== LOOPBACK_INTERFACE),
  );
  const todo: CachedAttachment[] = [
    ...cached,
    ...unknown.map(({ conf, ifName }) => ({ conf, target: { ...bareTarget(pod), ifName }, result: undefined })),
  ];
  let first: unknown;
  for (const { conf, target, result } of todo.sort(lastFirst)) {
    try {
      const netns = await openNetns(pod.netnsPath || target.netns);
      await delNetwork(ports, conf, { ...target, netns }, result, signal);
    } catch (thrown) {
      first ??= thrown;
      if (signal.aborted) break;
    }
  }
  if (first) throw CriError.from(first);
}

/** Sorts eth2, eth1, eth0, and loopback last: the reverse of attach. */
const lastFirst = (left: CachedAttachment, right: CachedAttachment): number =>
  order(right.target.ifName) - order(left.target.ifName);

const order = (ifName: string): number => (ifName === LOOPBACK_INTERFACE ? -1 : Number(/\d+$/.exec(ifName)?.[0] ?? 0));

/** CNI spec 1.1.0, "DEL": CNI_NETNS is empty without a namespace, and plugins release resources outside it. */
const openNetns = async (path: string): Promise<string> => (path !== '' && (await netnsIsOpen(path)) ? path : '');

/** The cache holds only the conflist: plugins in a directory beside it are only in the present configuration. */
function usable(cached: CachedAttachment, configured: readonly PodNetwork[]): CachedAttachment {
  if (cached.conf.plugins.length > 0) return cached;
  const today = configured.find(({ conf }) => conf.name === cached.conf.name);
  return today ? { ...cached, conf: today.conf } : cached;
}

/** Drops networks with a plugin that is not installed: attach checks for it first, so ADD never ran. */
async function runnable(ports: AttachPorts, networks: readonly PodNetwork[]): Promise<PodNetwork[]> {
  const kept: PodNetwork[] = [];
  for (const network of networks) {
    const found = await Promise.allSettled(network.conf.plugins.map(({ type }) => ports.plugins.find(type)));
    if (found.every(({ status }) => status === 'fulfilled')) kept.push(network);
  }
  return kept;
}
