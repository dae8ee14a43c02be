import type { Image, ImageStatusRequest, ImageStatusResponse } from '../../generated/runtime/v1/api.js';
import { ImageSpec, Int64Value } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { LocalImage } from '../state/images.js';
import type { ImageDeps } from './deps.js';

/** CRI ImageStatus, from memory: an image that is missing is an empty answer. */
export const imageStatus =
  (deps: Pick<ImageDeps, 'images'>) =>
  (request: ImageStatusRequest): ImageStatusResponse => {
    if (!request.image || request.image.image === '') throw invalidArgument('image.image', 'must not be empty');
    const image = deps.images.get(request.image.image);
    if (!image) return { image: undefined, info: {} };
    return { image: toCriImage(image), info: request.verbose ? { info: verboseInfo(image) } : {} };
  };

export function toCriImage(image: LocalImage): Image {
  const { uid, username } = userOf(image.config.config?.User ?? '');
  return {
    id: image.id,
    repo_tags: [...image.repoTags],
    repo_digests: [...image.repoDigests],
    size: image.sizeBytes,
    uid: uid === undefined ? undefined : Int64Value.fromPartial({ value: uid }),
    username,
    spec: ImageSpec.fromPartial({ image: image.repoDigests[0] ?? image.id }),
    pinned: image.pinned,
  };
}

const verboseInfo = (image: LocalImage): string =>
  JSON.stringify({ chainID: image.chainId, imageSpec: JSON.parse(image.configJson) as unknown });

/** USER is a name or a number, with or without a group; CRI wants either. */
function userOf(user: string): { uid: bigint | undefined; username: string } {
  const name = user.split(':')[0] ?? '';
  if (name === '') return { uid: undefined, username: '' };
  return /^\d{1,18}$/.test(name) ? { uid: BigInt(name), username: '' } : { uid: undefined, username: name };
}
