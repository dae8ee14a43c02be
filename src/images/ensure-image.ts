import { isCode } from '../base/errors.js';
import { parseReference } from '../state/image-reference.js';
import { onceRead } from '../state/image-readings.js';
import type { LocalImage } from '../state/images.js';
import type { ImageDeps } from './deps.js';
import { pull } from './pull.js';

/**
 * The image, unpacked for the snapshotter: containerd's blobs are unpacked, or it is pulled with the configured
 * credentials when it is missing or layers of it are. What runs already is joined; it goes on when `signal` aborts.
 */
export const ensureImage =
  (deps: ImageDeps) =>
  async (reference: string, options: { snapshotter: string; signal: AbortSignal }): Promise<LocalImage> => {
    const { snapshotter, signal } = options;
    const known = await onceRead(deps.images, () => deps.images.get(reference));
    if (known && (await canBeUnpacked(deps.unpacking, known, options))) return known;
    // An id cannot be pulled; the image's own names can.
    const name = known && known.id === reference ? (known.repoDigests[0] ?? known.repoTags[0]) : undefined;
    const parsed = parseReference(name ?? reference, 'image.image');
    return pull(deps, { reference: parsed, snapshotter, auth: undefined }, { signal });
  };

/** Unpacks it; false where layers are missing. */
async function canBeUnpacked(
  unpacking: ImageDeps['unpacking'],
  image: LocalImage,
  { snapshotter, signal }: { snapshotter: string; signal: AbortSignal },
): Promise<boolean> {
  try {
    await unpacking.ensure(image, snapshotter, signal);
    return true;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return false;
    throw thrown;
  }
}
