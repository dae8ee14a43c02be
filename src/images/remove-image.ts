import type { RemoveImageRequest, RemoveImageResponse } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { Caller } from '../operation/operation.js';
import type { ImageDeps } from './deps.js';

const LIMIT_MS = 5 * 60_000;

/**
 * Removes an image with every name it has (CRI RemoveImage); what it alone used is collected before the answer. An
 * image that is unknown is a success.
 */
export const removeImage =
  (deps: ImageDeps) =>
  async (request: RemoveImageRequest, caller: Caller): Promise<RemoveImageResponse> => {
    if (!request.image || request.image.image === '') throw invalidArgument('image.image', 'must not be empty');
    const image = deps.images.get(request.image.image);
    if (!image) return {};
    await deps.operations.run({
      kind: 'remove image',
      subject: image.id,
      key: `image-id:${image.id}`,
      fingerprint: '',
      caller,
      limitMs: LIMIT_MS,
      work: async (steps) => {
        const { references } = image;
        for (const [index, name] of references.entries()) {
          const last = index === references.length - 1;
          await steps.step(`delete ${name}`, (signal) =>
            deps.containerd.images.delete(name, last, { signal, timeoutMs: LIMIT_MS }),
          );
          await deps.images.refresh(name);
        }
      },
    });
    return {};
  };
