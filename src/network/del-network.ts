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
 * Runs DEL of each plugin, last first. After a failed plugin the others still run, so that they release what they hold;
 * then the first error is thrown. When `signal` has aborted, the rest do not run. The cached result is removed only
 * when all succeed, so that a retry has it.
 */
export async function delNetwork(
  ports: { readonly plugins: Plugins; readonly cache: ResultCache; readonly log: Logger },
  conf: NetworkConf,
  target: Target,
  result: JsonObject | undefined,
  signal: AbortSignal,
): Promise<void> {
  // CNI spec 0.4.0 introduced the previous result on DEL; older plugins do not know it.
  const prevResult = atLeast(conf.cniVersion, '0.4.0') ? result : undefined;
  const { capabilityArgs, ...where } = target;
  let first: unknown;
  for (const plugin of [...conf.plugins].reverse()) {
    try {
      const input = pluginConf(conf, plugin, { capabilityArgs, prevResult });
      await ports.plugins.run({ verb: 'DEL', type: plugin.type, network: conf.name, ...where, conf: input }, signal);
    } catch (thrown) {
      if (isAlreadyGone(thrown, target.netns)) {
        ports.log.debug({ pod: target.containerId, err: CriError.from(thrown).message }, 'network already deleted');
        continue;
      }
      first ??= thrown;
      if (signal.aborted) break;
    }
  }
  if (first) throw first;
  await ports.cache.remove(conf.name, target);
}

/** Plugins should succeed when there is nothing to delete, but many fail (containernetworking/plugins#210). */
function isAlreadyGone(thrown: unknown, netns: string): boolean {
  if (!(thrown instanceof CriError) || !(thrown.cause instanceof PluginFailure)) return false;
  const { message } = thrown.cause;
  return message.includes('not found') || (netns === '' && message.includes('no such file or directory'));
}
