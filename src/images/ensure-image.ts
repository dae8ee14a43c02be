import { isCode } from '../base/errors.js';
import { parseReference } from '../state/image-reference.js';
import type { LocalImage } from '../state/images.js';
import type { ImageDeps } from './deps.js';
import { pull } from './pull-image.js';

/** The image, pulled when it is missing or not unpacked for the snapshotter: what a pod needs of its pause image. */
export const ensureImage =
  (deps: ImageDeps) =>
  async (reference: string, options: { snapshotter: string; signal: AbortSignal }): Promise<LocalImage> => {
    const known = deps.images.get(reference);
    if (known && (await isUnpacked(deps, known, options))) return known;
    const parsed = parseReference(reference, 'images.pinned_images.sandbox');
    return pull(
      deps,
      { reference: parsed, snapshotter: options.snapshotter, auth: undefined },
      { signal: options.signal },
    );
  };

async function isUnpacked(
  deps: ImageDeps,
  image: LocalImage,
  { snapshotter, signal }: { snapshotter: string; signal: AbortSignal },
): Promise<boolean> {
  try {
    await deps.containerd.snapshots(snapshotter).stat(image.chainId, { signal });
    return true;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return false;
    throw thrown;
  }
}
