import type { RemoveImageRequest, RemoveImageResponse } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { Caller } from '../operation/operation.js';
import type { ImageDeps } from './image-deps.js';

const FIELD = 'image.image';
const LIMIT_MS = 5 * 60_000;

/**
 * Removes an image and all its names (CRI RemoveImage), whichever name the request has. Pinned images and images in use
 * are removed too: a kubelet does not request that. Content that only this image used is garbage-collected before the
 * response. An unknown image is a success.
 */
export const removeImage =
  (deps: Pick<ImageDeps, 'images' | 'containerd' | 'operations' | 'unpacking'>) =>
  async (request: RemoveImageRequest, caller: Caller): Promise<RemoveImageResponse> => {
    const wanted = request.image?.image ?? '';
    if (wanted === '') throw invalidArgument(FIELD, 'must not be empty');
    // All names of the image must be known.
    await deps.images.firstReading();
    const image = deps.images.getForPeople(wanted);
    if (!image) return {};
    await deps.operations.run({
      kind: 'remove image',
      subject: image.id,
      key: `image:${image.id}`,
      fingerprint: '',
      caller,
      limitMs: LIMIT_MS,
      work: async (steps) => {
        // Another removal may have ended while this one was queued.
        const references = deps.images.get(image.id)?.references ?? [];
        const remove = (name: string, sync: boolean): Promise<void> =>
          steps.step(`remove ${name}`, (signal) =>
            deps.images.remove(name, () => deps.containerd.images.delete(name, sync, { signal, timeoutMs: LIMIT_MS })),
          );
        // containerd garbage-collects the image's content when its last name is deleted.
        const last = references.at(-1);
        await Promise.all(references.slice(0, -1).map((name) => remove(name, false)));
        if (last !== undefined) await remove(last, true);
        deps.unpacking.forget(image.id);
      },
    });
    return {};
  };
