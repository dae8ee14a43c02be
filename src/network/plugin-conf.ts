import type { NetworkConf, PluginConf } from './conf-list.js';
import type { JsonObject } from './json.js';

/**
 * Returns a plugin's stdin: its own configuration, the network's name and version, the result of the previous plugin,
 * and the capability arguments that it declares (CNI spec 1.1.0, "Deriving execution configuration").
 */
export function pluginConf(
  network: NetworkConf,
  plugin: PluginConf,
  given: { readonly capabilityArgs?: JsonObject; readonly prevResult?: JsonObject | undefined } = {},
): JsonObject {
  const { capabilityArgs = {}, prevResult } = given;
  const declared = plugin.capabilities.filter((name) => name in capabilityArgs);
  const runtimeConfig = Object.fromEntries(declared.map((name) => [name, capabilityArgs[name]]));
  return {
    ...plugin.raw,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(prevResult ? { prevResult } : {}),
    ...(declared.length > 0 ? { runtimeConfig } : {}),
  };
}
