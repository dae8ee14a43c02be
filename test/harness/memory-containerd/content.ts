import { CriError, notFound } from '../../../src/base/errors.js';
import type { Content } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { storedLabels } from './fields.js';
import type { MemoryBlob, Store } from './store.js';

export function memoryContent({ blobs }: Store, call: Call): Content {
  const existing = (digest: string): MemoryBlob => {
    const blob = blobs.get(digest);
    if (!blob) throw notFound('content', digest);
    return blob;
  };
  return {
    read: (digest, maxBytes, options) =>
      call('content.read', digest, options, () => {
        const { bytes } = existing(digest);
        if (bytes.length <= maxBytes) return Buffer.from(bytes);
        throw new CriError('RESOURCE_EXHAUSTED', `"${digest}" is larger than ${maxBytes} bytes`);
      }),

    async *stream(digest, options) {
      yield await call('content.read', digest, options, () => Buffer.from(existing(digest).bytes));
    },

    info: (digest, options) =>
      call('content.info', digest, options, () => {
        const { bytes, labels } = existing(digest);
        return { digest, size: BigInt(bytes.length), labels: { ...labels } };
      }),

    label: (digest, labels, options) =>
      call('content.label', digest, options, () => {
        const blob = existing(digest);
        blobs.set(digest, { ...blob, labels: storedLabels({ ...blob.labels, ...labels }) });
      }),
  };
}
