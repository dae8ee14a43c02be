import { isCode } from '../base/errors.js';
import type { SnapshotMount } from '../containerd/containerd.js';
import type { Steps } from '../operation/steps.js';
import { remapLabels } from '../spec/user/user-namespace.js';
import { podUserNamespace } from '../state/pod-view.js';
import type { ContainerDeps } from './container-deps.js';
import type { Subject } from './spec-input.js';

/**
 * Prepares the writable layer. It is writable even for a read-only rootfs, because the runtime first adds mount points.
 * The failure of a parallel step does not cancel it: containerd might still make the snapshot after the undo.
 */
export async function prepareSnapshot(
  deps: Pick<ContainerDeps, 'containerd' | 'unpackImage'>,
  steps: Steps,
  { id, pod, image, handler }: Subject,
): Promise<SnapshotMount[]> {
  const snapshots = deps.containerd.snapshots(handler.snapshotter);
  const labels = remapLabels(podUserNamespace(pod.config));
  const prepare = (): Promise<SnapshotMount[]> => snapshots.prepare(id, image.chainId, labels, { lease: pod.id });
  const undo = (): Promise<void> => snapshots.remove(id);
  const mounts = await steps.step('prepare snapshot', () => unlessNotFound(prepare), undo);
  if (mounts) return mounts;
  // The image was pulled for another snapshotter, or its snapshots are gone.
  await deps.unpackImage(steps, image, handler.snapshotter);
  return steps.step('prepare snapshot', prepare, undo);
}

/**
 * Whether the mounts of a snapshot need no work of the snapshotter before each use. Others may attach devices, or mount
 * lower layers again that were lost (containerd's erofs snapshotter does both).
 */
export const hasLastingMounts = (snapshotter: string): boolean =>
  snapshotter === 'overlayfs' || snapshotter === 'native';

async function unlessNotFound<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  }
}
