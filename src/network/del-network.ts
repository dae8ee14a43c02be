import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { atLeast } from './cni-version.js';
import type { NetworkConf } from './conf-list.js';
import type { JsonObject } from './json.js';
import { pluginConf } from './plugin-conf.js';
import { PluginFailure } from './plugin-call.js';
import type { Plugins } from './plugins.js';
import type { ResultCache } from './result-cache.js';
import type { Target } from './target.js';

/**
 * DEL of each plugin, last first. A plugin that fails does not keep the next from releasing what it holds; the first
 * error is thrown when all were tried. The cached result goes only when all succeeded, so a retry has all it needs.
 */
export async function delNetwork(
  ports: { readonly plugins: Plugins; readonly cache: ResultCache; readonly log: Logger },
  conf: NetworkConf,
  target: Target,
  result: JsonObject | undefined,
  signal: AbortSignal,
): Promise<void> {
  // Older plugins do not know a previous result on DEL (CNI spec 0.4.0 brought it).
  const prevResult = atLeast(conf.cniVersion, '0.4.0') ? result : undefined;
  const { capabilityArgs, ...where } = target;
  let first: unknown;
  for (const plugin of [...conf.plugins].reverse()) {
    try {
      const input = pluginConf(conf, plugin, { capabilityArgs, prevResult });
      await ports.plugins.run({ verb: 'DEL', type: plugin.type, network: conf.name, ...where, conf: input }, signal);
    } catch (thrown) {
      if (isAlreadyGone(thrown, target.netns)) {
        ports.log.debug({ containerId: target.containerId, err: CriError.from(thrown).message }, 'already deleted');
        continue;
      }
      first ??= thrown;
      if (signal.aborted) break;
    }
  }
  if (first) throw first;
  await ports.cache.remove(conf.name, target);
}

/** Plugins should succeed when there is nothing left to delete, but many complain (containernetworking/plugins#210). */
function isAlreadyGone(thrown: unknown, netns: string): boolean {
  if (!(thrown instanceof CriError) || !(thrown.cause instanceof PluginFailure)) return false;
  const { message } = thrown.cause;
  return message.includes('not found') || (netns === '' && message.includes('no such file or directory'));
}
