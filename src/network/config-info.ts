import { join } from 'node:path';
import type { PluginConf } from './conf-list.js';
import { isObject, type JsonObject } from './json.js';
import type { PodNetwork } from './target.js';

/** Returns `cniconfig` of `crictl info`, in the form of containerd's CRI. */
export function configInfo(
  options: { readonly binDirs: readonly string[]; readonly confDir: string; readonly maxConfNum: number },
  networks: readonly PodNetwork[],
): JsonObject {
  return {
    PluginDirs: options.binDirs,
    PluginConfDir: join(options.confDir),
    PluginMaxConfNum: options.maxConfNum,
    Prefix: 'eth',
    Networks: networks.map(({ conf, ifName }) => ({
      Config: {
        Name: conf.name,
        CNIVersion: conf.cniVersion,
        Plugins: conf.plugins.map((plugin) => ({ Network: common(plugin), Source: JSON.stringify(plugin.raw) })),
        Source: conf.source,
      },
      IFName: ifName,
    })),
  };
}

/** Returns the fields that all plugin configurations share. */
function common({ raw }: PluginConf): JsonObject {
  const ipam = isObject(raw.ipam) && typeof raw.ipam.type === 'string' ? { type: raw.ipam.type } : {};
  const kept = ['cniVersion', 'name', 'type', 'capabilities', 'dns'].filter((field) => raw[field] !== undefined);
  return { ...Object.fromEntries(kept.map((field) => [field, raw[field]])), ipam };
}
