import type { NetworkConf } from './conf-list.js';
import { attachmentKey, attempt, isCollected, type Attachments, type GarbagePorts } from './delete-stale.js';
import type { KnownPods } from './network.js';
import { pluginConf } from './plugin-conf.js';
import type { CachedAttachment } from './result-cache.js';
import { LOOPBACK_INTERFACE, type PodNetwork } from './target.js';

/** The form of an attachment in a GC request (CNI spec 1.1.0, "GC"). */
interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * Runs the GC verb of the networks' plugins, which release all but the attachments that they are given. A network is
 * left out when its valid attachments cannot be known: a file of the cache cannot be read, or another program uses the
 * network and may add to it right now. `stale` is what `deleteStale` returned. Failures are logged.
 */
export async function collectGarbage(
  ports: GarbagePorts,
  networks: readonly PodNetwork[],
  pods: KnownPods,
  stale: Attachments,
  signal: AbortSignal,
): Promise<void> {
  // A pod may have been added under another name: a configuration file more or less moves the numbers.
  const names = networks.map(({ ifName }) => ifName).filter((name) => name !== LOOPBACK_INTERFACE);
  for (const { conf } of networks.filter(isCollected)) {
    if (signal.aborted) return;
    const network = conf.name;
    await attempt(ports, { network }, async () => {
      const { attachments, isComplete } = await ports.cache.ofNetwork(network);
      const foreign = attachments.find(
        (cached) => !pods.mayBeAttached(cached.target.containerId) && !stale.has(attachmentKey(cached)),
      );
      if (!isComplete) ports.log.warn({ network }, 'garbage of a network not collected: its cache cannot be read');
      else if (foreign) {
        const container = foreign.target.containerId;
        ports.log.debug({ network, container }, 'garbage of a network not collected: another program uses it');
      } else await runPlugins(ports, conf, validAttachments(pods, names, attachments), signal);
    });
  }
}

/** Includes the stale attachments of the cache: a plugin must not release what is left for the next DEL. */
function validAttachments(
  pods: KnownPods,
  names: readonly string[],
  cached: readonly CachedAttachment[],
): ValidAttachment[] {
  const valid = new Map<string, ValidAttachment>();
  const add = (containerID: string, ifname: string): unknown =>
    valid.set(`${containerID} ${ifname}`, { containerID, ifname });
  for (const { id, interfaces } of pods.attached()) for (const name of [...names, ...interfaces]) add(id, name);
  for (const { target } of cached) add(target.containerId, target.ifName);
  return [...valid.values()];
}

async function runPlugins(
  ports: GarbagePorts,
  conf: NetworkConf,
  attachments: readonly ValidAttachment[],
  signal: AbortSignal,
): Promise<void> {
  const { name: network } = conf;
  for (const plugin of conf.plugins) {
    if (signal.aborted) return;
    // The second key is that of the first text of the specification; libcni sends both.
    const keys = { 'cni.dev/valid-attachments': attachments, 'cni.dev/attachments': attachments };
    const nowhere = { containerId: '', netns: '', ifName: '', args: [] };
    const input = { ...pluginConf(conf, plugin), ...keys };
    await attempt(ports, { network, plugin: plugin.type }, () =>
      ports.plugins.run({ verb: 'GC', type: plugin.type, network, ...nowhere, conf: input }, signal),
    );
  }
}
