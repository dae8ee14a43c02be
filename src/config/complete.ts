import { withoutScheme } from '../base/unix-socket.js';
import { durationMs } from './duration.js';
import { defaultConfig, DEFAULT_REGISTRY_CONFIG_PATH, entryDefaults } from './defaults.js';
import type { Layer } from './layers.js';
import type { Config } from './options.js';
import { get, isTree, merged, type Tree } from './tree.js';

/** Merges all layers over the defaults, where later layers win, and resolves options whose value depends on others. */
export function complete(layers: readonly Layer[]): Config {
  const defaults = defaultConfig();
  const tree = layers.reduce<unknown>(
    (under, { options }) => merged(under, options),
    structuredClone(defaults),
  ) as Tree;
  fillEntries(tree);
  // Each layer was checked before, so the tree has the Config's shape.
  const config = tree as Config;
  settle(config, defaults);
  settleRegistry(config, layers);
  return config;
}

function fillEntries(tree: Tree): void {
  for (const [path, makeDefaults] of Object.entries(entryDefaults)) {
    const at = path.split('.');
    const entries = get(tree, at);
    if (!isTree(entries)) continue;
    for (const [name, entry] of Object.entries(entries)) entries[name] = merged(makeDefaults(), entry);
  }
}

function settle(config: Config, defaults: Config): void {
  const { runtime, images, streaming, nri } = config;
  runtime.drain_exec_sync_io_timeout ||= defaults.runtime.drain_exec_sync_io_timeout;
  runtime.stats_collect_period ||= defaults.runtime.stats_collect_period;
  runtime.stats_retention_period ||= defaults.runtime.stats_retention_period;
  runtime.selinux_category_range ||= defaults.runtime.selinux_category_range;
  images.image_pull_progress_timeout ||= '0s'; // containerd: no time-out
  streaming.stream_idle_timeout ||= defaults.streaming.stream_idle_timeout;
  nri.socket_path ||= defaults.nri.socket_path;
  nri.plugin_path ||= defaults.nri.plugin_path;
  nri.plugin_config_path ||= defaults.nri.plugin_config_path;
  nri.plugin_registration_timeout = orDefault(
    nri.plugin_registration_timeout,
    defaults.nri.plugin_registration_timeout,
  );
  nri.plugin_request_timeout = orDefault(nri.plugin_request_timeout, defaults.nri.plugin_request_timeout);
  for (const handler of Object.values(runtime.containerd.runtimes)) handler.sandboxer ||= 'pause';
  config.grpc.address = withoutScheme(config.grpc.address);
  config.crid.listen = withoutScheme(config.crid.listen);
}

/** containerd's NRI uses its default where the time limit is 0. */
const orDefault = (duration: string, usual: string): string =>
  duration === '' || durationMs(duration) === 0 ? usual : duration;

/** Sets the default of `config_path`, unless `mirrors` are configured, which exclude it. */
function settleRegistry({ images: { registry } }: Config, layers: readonly Layer[]): void {
  const isSet = layers.some(({ options }) => get(options, ['images', 'registry', 'config_path']) !== undefined);
  if (Object.keys(registry.mirrors).length === 0) registry.config_path ||= DEFAULT_REGISTRY_CONFIG_PATH;
  else if (!isSet) registry.config_path = '';
}
