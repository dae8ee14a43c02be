import type { LoadedConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';

type Introspection = Pick<Containerd, 'introspection'>;

/**
 * Returns a warning when containerd's own CRI plugin uses the same namespace, '' otherwise. Both servers then handle
 * every exit, which works but is not wanted.
 */
export async function sharedNamespace(containerd: Introspection, config: Config): Promise<string> {
  const loaded = await isLoaded(containerd, CRI_PLUGIN);
  if (!loaded || config.crid.namespace !== PLUGINS_NAMESPACE) return '';
  return `containerd's own CRI plugin also works in the namespace ${config.crid.namespace}: ${remedy}`;
}

/**
 * Returns a warning when containerd's own CRI plugin serves NRI too, '' otherwise. It then launches the plugins of the
 * node, and has taken NRI's socket when it started. crid launches them only if its own configuration sets
 * `nri.enabled`: containerd's has no such key.
 */
export async function sharedNri(
  containerd: Introspection,
  { config: { nri }, origins }: Pick<LoadedConfig, 'config' | 'origins'>,
): Promise<{ readonly warning: string; readonly launches: boolean }> {
  const alone = { warning: '', launches: true };
  if (!nri.enabled || nri.disable) return alone;
  const loaded = await Promise.all([CRI_PLUGIN, NRI_PLUGIN].map((filter) => isLoaded(containerd, filter)));
  if (loaded.includes(false)) return alone;
  const launches = (origins.get('nri.enabled') ?? 'default') !== 'default';
  const launched = launches
    ? `crid launches the plugins of ${nri.plugin_path} a second time, because nri.enabled is set`
    : `crid does not launch the plugins of ${nri.plugin_path}, unless its own file sets nri.enabled = true`;
  return {
    warning: `containerd's own CRI plugin serves NRI too, and takes ${nri.socket_path} when it starts; ${launched}: ${remedy}`,
    launches,
  };
}

/** Whether containerd has the plugin, and it works. */
async function isLoaded({ introspection }: Introspection, filter: string): Promise<boolean> {
  const plugins = await introspection.plugins([filter]);
  return plugins.some(({ initError, initCode }) => initError === '' && initCode === NO_ERROR);
}

const NO_ERROR = 0;
const PLUGINS_NAMESPACE = 'k8s.io';
const CRI_PLUGIN = 'type==io.containerd.grpc.v1,id==cri';
const NRI_PLUGIN = 'type==io.containerd.nri.v1,id==nri';
const remedy = 'add "io.containerd.grpc.v1.cri" to disabled_plugins of its config.toml';
