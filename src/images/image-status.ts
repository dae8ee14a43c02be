import type { ImageStatusRequest, ImageStatusResponse } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { LocalImage } from '../state/image-cache.js';
import { onceRead } from '../state/image-readings.js';
import { toCriImage } from './cri-image.js';
import type { ImageDeps } from './image-deps.js';
import { isUnpacked } from './unpacked.js';

/**
 * CRI ImageStatus: a missing image gives an empty response. So does an image that is not unpacked for the named runtime
 * handler, or that could not be unpacked for a container: otherwise a kubelet would not pull it, and the container
 * could not start.
 */
export const imageStatus =
  (deps: Pick<ImageDeps, 'images' | 'containerd' | 'config' | 'handlers' | 'unpacking'>) =>
  async (request: ImageStatusRequest): Promise<ImageStatusResponse> => {
    const { image: wanted = '', runtime_handler: handler = '' } = request.image ?? {};
    if (wanted === '') throw invalidArgument('image.image', 'must not be empty');
    const image = await onceRead(deps.images, () => deps.images.getForPeople(wanted));
    if (!image || !(await isReady(deps, image, handler))) return { image: undefined, info: {} };
    return { image: toCriImage(image), info: request.verbose ? await verboseInfo(deps, image) : {} };
  };

/** Asks containerd only for a handler that does not use the default snapshotter. */
async function isReady(
  deps: Pick<ImageDeps, 'containerd' | 'config' | 'handlers' | 'unpacking'>,
  image: LocalImage,
  handler: string,
): Promise<boolean> {
  if (deps.unpacking.missingFor(image.id).length > 0) return false;
  const { snapshotter } = deps.handlers.get(handler);
  return snapshotter === deps.config.images.snapshotter || isUnpacked(deps, image, snapshotter);
}

/** Parsing a config of this size takes a few milliseconds. */
const MAX_SHOWN_BYTES = 256 << 10;

/** Returns the whole config, with labels and history; for a larger one, only the part that is kept in memory. */
async function verboseInfo(
  { containerd }: Pick<ImageDeps, 'containerd'>,
  { id, chainId, config }: LocalImage,
): Promise<Record<string, string>> {
  const whole = await containerd.content
    .read(id, MAX_SHOWN_BYTES)
    .then((bytes) => JSON.parse(Buffer.from(bytes).toString()) as unknown)
    // The config is too large, or is not JSON: crid's own parser checks only the parts that it keeps.
    .catch(() => undefined);
  const omitted = whole === undefined ? { imageSpecOmitted: `all but what a container is made of: ${id}` } : {};
  return { info: JSON.stringify({ chainID: chainId, imageSpec: whole ?? config, ...omitted }) };
}
