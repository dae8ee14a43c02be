import type { ListImagesRequest, ListImagesResponse } from '../../generated/runtime/v1/api.js';
import type { ImageDeps } from './deps.js';
import { toCriImage } from './image-status.js';

/** CRI ListImages, from memory; a filter by image lets through that one. */
export const listImages =
  (deps: Pick<ImageDeps, 'images'>) =>
  (request: ListImagesRequest): ListImagesResponse => {
    const wanted = request.filter?.image?.image ?? '';
    const found = wanted === '' ? deps.images.list() : [deps.images.get(wanted)].filter((image) => image !== undefined);
    return { images: found.map(toCriImage) };
  };
