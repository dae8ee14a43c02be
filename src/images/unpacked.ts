import { isCode } from '../base/errors.js';
import type { CallOptions, Containerd } from '../containerd/containerd.js';

/** Whether the snapshotter has the image's topmost layer, and thereby all layers below it. */
export async function isUnpacked(
  deps: { readonly containerd: Pick<Containerd, 'snapshots'> },
  image: { readonly chainId: string },
  snapshotter: string,
  options?: CallOptions,
): Promise<boolean> {
  if (image.chainId === '') return true;
  try {
    const { kind } = await deps.containerd.snapshots(snapshotter).stat(image.chainId, options);
    return kind === 'committed';
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return false;
    throw thrown;
  }
}
