import { ImagesDefinition, type Image } from '../../generated/containerd/services/images/v1/images.js';
import { withOptions, type ClientOf } from './connection.js';
import type { ImageRecord, Images } from './containerd.js';
import { checkFields, present, unlessGone } from './answers.js';

export function createImages(clientOf: ClientOf): Images {
  const client = clientOf(ImagesDefinition);
  return {
    get: async (name, options) => recordOf((await client.get({ name }, withOptions(options))).image, 'images.get'),

    list: async (filters, options) => {
      const { images } = await client.list({ filters: [...filters] }, withOptions(options));
      return images.map((image) => recordOf(image, 'images.list'));
    },

    create: async (image, options) =>
      recordOf((await client.create({ image }, withOptions(options))).image, 'images.create'),

    update: async (image, fields, options) => {
      checkFields('images.update', fields, undefined);
      const request = { image, update_mask: [...fields] };
      return recordOf((await client.update(request, withOptions(options))).image, 'images.update');
    },

    delete: async (name, sync, options) => void (await unlessGone(client.delete({ name, sync }, withOptions(options)))),
  };
}

function recordOf(answer: Image | undefined, method: string): ImageRecord {
  const { name, labels, target } = present(answer, method);
  return { name, labels, target: present(target, method) };
}
