import type { FilesystemUsage, ImageFsInfoResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { snapshotterRoots } from '../state/snapshotter-root.js';
import type { ImageDeps } from './image-deps.js';
import { createSnapshotUsage, type SnapshotUsage } from './snapshot-usage.js';

/**
 * CRI ImageFsInfo: bytes and inodes of each snapshotter in use, the default one first, since a kubelet reads only the
 * first. Writable layers are stored beside image layers, so the containers' filesystems are the same.
 */
export const imageFsInfo = (
  deps: Pick<ImageDeps, 'containerd' | 'config' | 'state' | 'log'>,
): (() => Promise<ImageFsInfoResponse>) => {
  const usages = new Map<string, SnapshotUsage>();
  const mountpointOf = snapshotterRoots(deps.containerd, deps.config.root);
  const filesystem = async (snapshotter: string): Promise<FilesystemUsage> => {
    const usage = usages.get(snapshotter) ?? usageOf(deps, snapshotter);
    usages.set(snapshotter, usage);
    const mountpoint = await mountpointOf(snapshotter);
    const { bytes, inodes, measuredAtNs } = await usage.sum();
    return {
      timestamp: measuredAtNs,
      fs_id: { mountpoint },
      used_bytes: { value: bytes },
      inodes_used: { value: inodes },
    };
  };
  return async () => {
    const [fallback = '', ...others] = snapshottersOf(deps);
    const found = await Promise.all([filesystem(fallback), ...others.map((name) => orNothing(deps, name, filesystem))]);
    const filesystems = found.filter((one) => one !== undefined);
    return { image_filesystems: filesystems, container_filesystems: filesystems };
  };
};

/** Returns undefined on an error: a configured but missing snapshotter must not hide the usage of the default one. */
async function orNothing(
  { log }: Pick<ImageDeps, 'log'>,
  snapshotter: string,
  filesystem: (snapshotter: string) => Promise<FilesystemUsage>,
): Promise<FilesystemUsage | undefined> {
  try {
    return await filesystem(snapshotter);
  } catch (thrown) {
    logOf(log).warn({ snapshotter, err: CriError.from(thrown).message }, 'usage of a snapshotter not known');
    return undefined;
  }
}

const usageOf = ({ containerd, config, log }: Pick<ImageDeps, 'containerd' | 'config' | 'log'>, name: string) =>
  createSnapshotUsage({
    snapshotter: name,
    snapshots: containerd.snapshots(name),
    freshMs: config.images.stats_collect_period * 1000,
    log,
  });

function snapshottersOf({ config, state }: Pick<ImageDeps, 'config' | 'state'>): string[] {
  const { runtimes } = config.runtime.containerd;
  const configured = Object.values(runtimes).map(({ snapshotter }) => snapshotter);
  const used = state.containers.list().map(({ snapshotter }) => snapshotter);
  return [...new Set([config.images.snapshotter, ...configured, ...used])].filter((name) => name !== '');
}
