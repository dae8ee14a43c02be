import { ContentDefinition } from '../../generated/containerd/services/content/v1/content.js';
import { CriError } from '../base/errors.js';
import { withOptions, withoutLimit, type ClientOf } from './connection.js';
import type { Content } from './containerd.js';
import { present } from './answers.js';

export function createContent(clientOf: ClientOf): Content {
  const client = clientOf(ContentDefinition);
  return {
    read: async (digest, maxBytes, options) => {
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const { data } of client.read({ digest }, withOptions(options))) {
        length += data.length;
        if (length > maxBytes) {
          throw new CriError('RESOURCE_EXHAUSTED', `content.read: "${digest}" is larger than ${maxBytes} bytes`);
        }
        chunks.push(data);
      }
      return Buffer.concat(chunks, length);
    },

    async *stream(digest, options) {
      for await (const { data } of client.read({ digest }, withoutLimit(options))) yield data;
    },

    info: async (digest, options) => {
      const info = present((await client.info({ digest }, withOptions(options))).info, 'content.info');
      return { digest: info.digest, size: info.size, labels: info.labels };
    },

    label: async (digest, labels, options) => {
      const paths = Object.keys(labels).map((key) => `labels.${key}`);
      await client.update({ info: { digest, labels }, update_mask: paths }, withOptions(options));
    },
  };
}
