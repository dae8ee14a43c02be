import { CriError } from '../base/errors.js';
import { OLDEST_CNI_VERSION } from './cni-version.js';
import type { NetworkConf, PluginConf } from './conf-list.js';
import { isObject, type JsonObject } from './json.js';
import { pluginConf } from './plugin-conf.js';
import type { Plugins } from './plugins.js';
import type { ResultCache } from './result-cache.js';
import type { Target } from './target.js';

/**
 * Runs ADD of each plugin in order, with the result of the previous plugin, and returns the last result. Writes the
 * cache before the first plugin runs, so that after a crash in between crid knows what to delete, and how.
 */
export async function addNetwork(
  ports: { readonly plugins: Plugins; readonly cache: ResultCache },
  conf: NetworkConf,
  target: Target,
  signal: AbortSignal,
): Promise<JsonObject> {
  await ports.cache.write(conf, target);
  let result: JsonObject | undefined;
  for (const plugin of conf.plugins) {
    const { capabilityArgs, ...where } = target;
    const stdout = await ports.plugins.run(
      {
        verb: 'ADD',
        type: plugin.type,
        network: conf.name,
        ...where,
        conf: pluginConf(conf, plugin, { capabilityArgs, prevResult: result }),
      },
      signal,
    );
    result = parseResult(stdout, conf, plugin);
  }
  if (!result) throw new CriError('FAILED_PRECONDITION', `network ${conf.name}: plugins: missing`);
  await ports.cache.write(conf, target, result);
  return result;
}

function parseResult(stdout: string, conf: NetworkConf, plugin: PluginConf): JsonObject {
  const bad = (problem: string): CriError =>
    new CriError(
      'UNKNOWN',
      `plugin type=${JSON.stringify(plugin.type)} name=${JSON.stringify(conf.name)} failed (add): ${problem}, ` +
        `received ${JSON.stringify(stdout.slice(0, 256))}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    throw bad('its result is not JSON');
  }
  if (value !== null && !isObject(value)) throw bad('its result is not an object');
  const result = value ?? {};
  if (typeof result.cniVersion === 'string' && result.cniVersion !== '') return result;
  // Some plugins leave the version out; it can only be the version of the request.
  return { ...result, cniVersion: conf.cniVersion || OLDEST_CNI_VERSION };
}
