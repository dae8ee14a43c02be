import type { Config } from '../config/schema.js';
import { TRANSFER_TABLE, type TransferSettings } from '../config/transfer-settings.js';
import type { Containerd, PluginInfo } from '../containerd/containerd.js';
import { hostPlatform } from '../containerd/platform.js';
import { isAtLeast } from './containerd-version.js';

export interface SnapshotterWarning {
  readonly snapshotter: string;
  readonly message: string;
}

/**
 * Returns a warning for each setting that containerd lacks for a snapshotter that crid uses. Pulls work without them,
 * but differently from what the node's operator expects.
 */
export async function snapshotterWarnings(
  config: Config,
  transfer: TransferSettings,
  { introspection }: Pick<Containerd, 'introspection'>,
): Promise<SnapshotterWarning[]> {
  const [plugins, { version }] = await Promise.all([
    introspection.plugins(['type==io.containerd.snapshotter.v1']),
    introspection.version(),
  ]);
  return snapshottersOf(config).flatMap((snapshotter) => {
    const plugin = plugins.find(({ id, initError }) => id === snapshotter && initError === '');
    // A missing snapshotter has an error of its own, in doctor and at each pull.
    if (!plugin) return [];
    return [unpackProblem(snapshotter, transfer, version), lazyProblem(plugin, config.images)]
      .filter((message) => message !== undefined)
      .map((message) => ({ snapshotter, message }));
  });
}

/** Returns the names of the snapshotters of the configuration, the default one first. */
export function snapshottersOf({ images, runtime }: Pick<Config, 'images' | 'runtime'>): string[] {
  const own = Object.values(runtime.containerd.runtimes).map(({ snapshotter }) => snapshotter);
  return [...new Set([images.snapshotter, ...own])].filter((name) => name !== '');
}

/** Returns the snapshotters of containerd's default `unpack_config`. */
const unpackedByDefault = (version: string): readonly string[] =>
  isAtLeast(version, 2, 3) ? ['overlayfs', 'erofs'] : ['overlayfs'];

function unpackProblem(snapshotter: string, { unpackConfig }: TransferSettings, version: string): string | undefined {
  const { os, architecture } = hostPlatform();
  const platform = `${os}/${architecture}`;
  // "linux(+erofs)/amd64" and "linux/arm64/v8" name a feature and a variant of the platform.
  const isHost = (name: string): boolean => `${name.replace(/\([^)]*\)/, '')}/`.startsWith(`${platform}/`);
  const has = unpackConfig
    ? unpackConfig.some((entry) => entry.snapshotter === snapshotter && isHost(entry.platform))
    : unpackedByDefault(version).includes(snapshotter);
  if (has) return undefined;
  return (
    `unpack_config of containerd's ${TRANSFER_TABLE} has no entry for it: containerd fetches whole images and crid ` +
    `unpacks them afterwards; add [[${TRANSFER_TABLE}.unpack_config]] with platform = "${platform}" and ` +
    `snapshotter = "${snapshotter}"`
  );
}

/** Part of containerd. They take all layers from the content store. */
const BUILT_IN = ['overlayfs', 'native', 'btrfs', 'zfs', 'devmapper', 'blockfile', 'erofs'];
/** Names of snapshotters that fetch the files of a layer when a container reads them. */
const LAZY = /^(stargz|nydus|soci|overlaybd|cvmfs)/;
const EXPORT = 'enable_remote_snapshot_annotations';

function lazyProblem(
  { id, exports }: PluginInfo,
  { disable_snapshot_annotations }: Config['images'],
): string | undefined {
  const isLazy = LAZY.test(id) || (!BUILT_IN.includes(id) && !disable_snapshot_annotations);
  if (!isLazy || exports[EXPORT] === 'true') return undefined;
  return (
    `containerd does not tell it which image a layer belongs to, so it pulls nothing lazily: set ${EXPORT} = "true" ` +
    `in [proxy_plugins.${id}.exports] of containerd's config.toml`
  );
}
