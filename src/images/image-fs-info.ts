import { join } from 'node:path';
import { FilesystemUsage, type ImageFsInfoResponse } from '../../generated/runtime/v1/api.js';
import type { ImageDeps } from './deps.js';
import { createSnapshotUsage, type SnapshotUsage } from './snapshot-usage.js';

/**
 * CRI ImageFsInfo: bytes and inodes per snapshotter in use, the default one first, since a kubelet reads no further.
 * Writable layers lie beside the layers of images, so the containers' filesystems are the same.
 */
export const imageFsInfo = (
  deps: Pick<ImageDeps, 'containerd' | 'config' | 'state' | 'log'>,
): (() => Promise<ImageFsInfoResponse>) => {
  const usages = new Map<string, SnapshotUsage>();
  const mountpoints = new Map<string, string>();
  const filesystem = async (snapshotter: string): Promise<FilesystemUsage> => {
    const usage = usages.get(snapshotter) ?? usageOf(deps, snapshotter);
    usages.set(snapshotter, usage);
    const mountpoint = mountpoints.get(snapshotter) ?? (await mountpointOf(deps, snapshotter));
    mountpoints.set(snapshotter, mountpoint);
    const { bytes, inodes, measuredAtNs } = await usage.sum();
    return {
      timestamp: measuredAtNs,
      fs_id: { mountpoint },
      used_bytes: { value: bytes },
      inodes_used: { value: inodes },
    };
  };
  return async () => {
    const filesystems = await Promise.all(snapshottersOf(deps).map(filesystem));
    return { image_filesystems: filesystems, container_filesystems: filesystems };
  };
};

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

/** The folder that the snapshotter itself says it has, else containerd's usual one. */
async function mountpointOf(
  { containerd, config }: Pick<ImageDeps, 'containerd' | 'config'>,
  snapshotter: string,
): Promise<string> {
  const plugins = await containerd.introspection.plugins([`type==io.containerd.snapshotter.v1,id==${snapshotter}`]);
  return plugins[0]?.exports['root'] || join(config.root, `io.containerd.snapshotter.v1.${snapshotter}`);
}
