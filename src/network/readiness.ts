import { CriError } from '../base/errors.js';
import { atLeast } from './cni-version.js';
import type { NetworkConf } from './conf-list.js';
import { pluginConf } from './plugin-conf.js';
import type { Plugins } from './plugins.js';

/** Asks plugins whether they could ADD now; '' when they could. */
export type Readiness = (networks: readonly NetworkConf[]) => Promise<string>;

const FRESH_MS = 5_000;

/**
 * The STATUS verb of every plugin whose network speaks 1.1.0 or later (CNI spec 1.1.0, "STATUS"); older ones have none.
 * An answer serves for a few seconds, for as long as the configuration is the same; askers in between share one run.
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
