import { Int64Value, type Image } from '../../generated/runtime/v1/api.js';
import type { LocalImage } from '../state/image-cache.js';

/** runtime.v1.Image */
export const toCriImage = (image: LocalImage): Image => ({
  id: image.id,
  repo_tags: [...image.repoTags],
  repo_digests: [...image.repoDigests],
  size: image.sizeBytes,
  uid: image.user.uid === undefined ? undefined : Int64Value.fromPartial({ value: image.user.uid }),
  username: image.user.username,
  spec: undefined,
  pinned: image.pinned,
});
