import type { ListImagesRequest, ListImagesResponse } from '../../generated/runtime/v1/api.js';
import { toCriImage } from './cri-image.js';
import type { ImageDeps } from './image-deps.js';

/** CRI ListImages, from memory; a filter by image selects that one image, by any of its names. */
export const listImages =
  (deps: Pick<ImageDeps, 'images'>) =>
  async (request: ListImagesRequest): Promise<ListImagesResponse> => {
    await deps.images.firstReading();
    const wanted = request.filter?.image?.image ?? '';
    const found =
      wanted === '' ? deps.images.list() : [deps.images.getForPeople(wanted)].filter((image) => image !== undefined);
    return { images: found.map(toCriImage) };
  };
