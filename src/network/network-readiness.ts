import { CriError } from '../base/errors.js';
import { atLeast } from './cni-version.js';
import type { NetworkConf } from './conf-list.js';
import { pluginConf } from './plugin-conf.js';
import type { Plugins } from './plugins.js';

/** Asks the plugins whether ADD would work now. Returns '' or the reason why not. */
export type Readiness = (networks: readonly NetworkConf[]) => Promise<string>;

const FRESH_MS = 5_000;

/**
 * Runs the STATUS verb of the plugins of every network with CNI version 1.1.0 or later (CNI spec 1.1.0, "STATUS");
 * older versions have none. The result is reused for `FRESH_MS` while the configuration is the same, also by concurrent
 * callers.
 */
export function createReadiness(plugins: Plugins): Readiness {
  let last:
    { readonly networks: readonly NetworkConf[]; readonly at: number; readonly answer: Promise<string> } | undefined;
  return (networks) => {
    const asked = networks.filter(({ cniVersion }) => atLeast(cniVersion, '1.1.0'));
    if (asked.length === 0) return Promise.resolve('');
    if (last?.networks !== networks || performance.now() - last.at > FRESH_MS) {
      last = { networks, at: performance.now(), answer: ask(plugins, asked) };
    }
    return last.answer;
  };
}

async function ask(plugins: Plugins, networks: readonly NetworkConf[]): Promise<string> {
  const nowhere = { containerId: '', netns: '', ifName: '', args: [] };
  try {
    for (const network of networks) {
      for (const plugin of network.plugins) {
        const conf = pluginConf(network, plugin);
        await plugins.run(
          { verb: 'STATUS', type: plugin.type, network: network.name, ...nowhere, conf },
          new AbortController().signal,
        );
      }
    }
    return '';
  } catch (thrown) {
    return CriError.from(thrown).message;
  }
}
