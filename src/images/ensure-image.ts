import { parseReference } from '../state/image-reference.js';
import type { LocalImage } from '../state/images.js';
import type { ImageDeps } from './deps.js';
import { pull } from './pull.js';
import { isUnpacked } from './unpacked.js';

/**
 * The image, pulled with the configured credentials when it is missing or not unpacked for the snapshotter. An equal
 * pull that runs already is joined; it goes on when `signal` aborts.
 */
export const ensureImage =
  (deps: ImageDeps) =>
  async (reference: string, options: { snapshotter: string; signal: AbortSignal }): Promise<LocalImage> => {
    const { snapshotter, signal } = options;
    const known = deps.images.get(reference);
    if (known && (await isUnpacked(deps, known, snapshotter, { signal }))) return known;
    // An id cannot be pulled; the image's own names can.
    const name = known && known.id === reference ? (known.repoDigests[0] ?? known.repoTags[0]) : undefined;
    const parsed = parseReference(name ?? reference, 'image.image');
    return pull(deps, { reference: parsed, snapshotter, auth: undefined }, { signal });
  };
