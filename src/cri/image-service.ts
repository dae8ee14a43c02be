import { Image, ImageServiceDefinition } from '../../generated/runtime/v1/api.js';
import type { ImageDeps } from '../images/image-deps.js';
import { imageFsInfo } from '../images/image-fs-info.js';
import { imageStatus } from '../images/image-status.js';
import { listImages } from '../images/list-images.js';
import { listSecurityProfiles } from '../images/profiles/list-security-profiles.js';
import { pullSecurityProfile } from '../images/profiles/pull-security-profile.js';
import { removeSecurityProfile } from '../images/profiles/remove-security-profile.js';
import { pullImage } from '../images/pull-image.js';
import { removeImage } from '../images/remove-image.js';
import { fieldOf } from './list-codec.js';
import { implement } from './service.js';
import { inMessages } from './stream-list.js';

/** runtime.v1.ImageService: the handler of each RPC. */
export const imageService = (deps: ImageDeps) =>
  implement(ImageServiceDefinition, {
    pullImage: pullImage(deps),
    imageStatus: imageStatus(deps),
    listImages: listImages(deps),
    streamImages: (request) =>
      inMessages(
        listImages(deps)(request).then(({ images }) => images),
        IMAGES,
      ),
    removeImage: removeImage(deps),
    imageFsInfo: imageFsInfo(deps),
    pullSecurityProfile: pullSecurityProfile(deps),
    listSecurityProfiles: listSecurityProfiles(deps),
    removeSecurityProfile: removeSecurityProfile(deps),
  });

const IMAGES = fieldOf((image: Image) => Image.encode(image).finish());
