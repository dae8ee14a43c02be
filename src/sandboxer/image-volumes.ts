import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createKeyedQueue } from '../base/async.js';
import { CriError, isCode } from '../base/errors.js';
import type { Containerd, SnapshotMount } from '../containerd/containerd.js';
import { ensureDirectory } from '../host/files/files.js';
import { readMountInfo, unmount } from '../host/mount/mount-calls.js';
import { mountSnapshot } from '../host/mount/snapshot-mount.js';
import { withActiveMounts } from './active-mounts.js';
import type { Directories } from '../state/directories.js';

/** An image that containers of a pod mount (KEP-4639). */
export interface ImageVolume {
  readonly podId: string;
  readonly snapshotter: string;
  /** The digest of the image's manifest. */
  readonly manifest: string;
  readonly chainId: string;
  /** See `remapLabels`. */
  readonly labels: Readonly<Record<string, string>>;
  /** The user namespace of the pod, if it has one. */
  readonly usernsPath: string | undefined;
}

/**
 * The images that pods mount: one read-only snapshot for each pod and manifest, mounted once, and shared by the pod's
 * containers until the pod stops. The path of the mount is also the snapshot's key.
 */
export interface ImageVolumes {
  /** Mounts the image unless it is mounted already; returns the path. `removeAll` removes what a failure leaves. */
  mount(volume: ImageVolume, signal: AbortSignal): Promise<string>;
  /** Unmounts all images of a pod and removes their snapshots. Succeeds when there are none. */
  removeAll(podId: string, snapshotter: string, signal?: AbortSignal): Promise<void>;
}

export function createImageVolumes(options: {
  containerd: Pick<Containerd, 'mounts' | 'snapshots'>;
  directories: Pick<Directories, 'imageVolumes'>;
}): ImageVolumes {
  const { containerd, directories } = options;
  /** By path: two containers of a pod may mount the same image at once. */
  const inTurn = createKeyedQueue();

  const prepare = async (volume: ImageVolume, key: string, signal: AbortSignal): Promise<SnapshotMount[]> => {
    const snapshots = containerd.snapshots(volume.snapshotter);
    try {
      return await snapshots.view(key, volume.chainId, volume.labels, { signal, lease: volume.podId });
    } catch (thrown) {
      if (isCode(thrown, 'ALREADY_EXISTS')) return snapshots.mounts(key, { signal });
      throw thrown;
    }
  };

  const mountAt = async (volume: ImageVolume, target: string, signal: AbortSignal): Promise<string> => {
    const mounted = (await readMountInfo()).findLast(({ mountPoint }) => mountPoint === target);
    if (mounted && OPTIONS.every((option) => mounted.options.includes(option))) return target;
    // A kill between the calls of a bind leaves a mount that is not yet read-only.
    if (mounted) await unmount(target, { detach: true });
    const mounts = await prepare(volume, target, signal);
    await ensureDirectory(directories.imageVolumes(volume.podId), 0o700);
    await ensureDirectory(target, 0o755);
    signal.throwIfAborted();
    const { snapshotter, usernsPath } = volume;
    await withActiveMounts(containerd, { snapshotter, key: target, mounts }, signal, (active) =>
      mountSnapshot(active, target, { usernsPath }),
    );
    return target;
  };

  return {
    async mount(volume, signal) {
      const target = join(directories.imageVolumes(volume.podId), manifestHex(volume.manifest));
      return inTurn(target, () => mountAt(volume, target, signal));
    },
    async removeAll(podId, snapshotter, signal) {
      const base = directories.imageVolumes(podId);
      for (const name of await namesIn(base)) {
        const target = join(base, name);
        await unmount(target, { detach: true });
        // Other names are layers of an overlay that was being mounted; they are not snapshots.
        if (/^[0-9a-f]+$/.test(name)) await containerd.snapshots(snapshotter).remove(target, { signal });
        await rmdir(target).catch(ifMissing);
      }
      await rmdir(base).catch(ifMissing);
    },
  };
}

/** The options of a mount that is complete. */
const OPTIONS = ['ro', 'nosuid', 'nodev'];

function manifestHex(digest: string): string {
  const hex = /^[a-z0-9]+:([0-9a-f]{32,128})$/.exec(digest)?.[1];
  if (hex === undefined) throw new CriError('INTERNAL', `"${digest}" is not a digest`);
  return hex;
}

const namesIn = (path: string): Promise<string[]> =>
  readdir(path).catch((thrown: unknown) => {
    ifMissing(thrown);
    return [];
  });

function ifMissing(thrown: unknown): void {
  if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
}
