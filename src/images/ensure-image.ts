import { isCode, notFound } from '../base/errors.js';
import { parseReference } from '../state/image-reference.js';
import { onceRead } from '../state/image-readings.js';
import type { LocalImage } from '../state/image-cache.js';
import type { ImageDeps } from './image-deps.js';
import { pull } from './pull.js';

/**
 * Returns the image, unpacked for the snapshotter. Unpacks containerd's blobs; pulls the image with the configured
 * credentials when the image or some of its layers are missing, unless `mayPull` is false: then NOT_FOUND. Joins a
 * running pull or unpacking, which continues when `signal` aborts.
 */
export const ensureImage =
  (deps: ImageDeps) =>
  async (
    reference: string,
    options: { snapshotter: string; signal: AbortSignal; mayPull?: boolean },
  ): Promise<LocalImage> => {
    const { snapshotter, signal, mayPull = true } = options;
    const known = await onceRead(deps.images, () => deps.images.get(reference));
    if (known && (await canBeUnpacked(deps.unpacking, known, options))) return known;
    if (!mayPull) throw notFound('image', reference);
    // An id cannot be pulled, but the image's names can.
    const name = known && known.id === reference ? (known.repoDigests[0] ?? known.repoTags[0]) : undefined;
    const parsed = parseReference(name ?? reference, 'image.image');
    return pull(deps, { reference: parsed, snapshotter, auth: undefined }, { signal });
  };

/** Unpacks the image; returns false when layers are missing. */
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
