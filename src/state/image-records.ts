import { isCode } from '../base/errors.js';
import type { ImagesConfig } from '../config/schema.js';
import type { CallOptions, Containerd, ImageRecord, Labels } from '../containerd/containerd.js';
import { tryParseReference } from './image-reference.js';
import { hasLabels } from './labels.js';

/** The labels that containerd's CRI plugin puts on image records; crid sets them too. */
const MANAGED = { 'io.cri-containerd.image': 'managed' };
const PINNED = { 'io.cri-containerd.pinned': 'pinned' };

/** Returns the labels of the image record `name`; images in `pinned_images` are pinned. */
export function imageLabels(config: Pick<ImagesConfig, 'pinned_images'>, name: string): Labels {
  const pinned = Object.values(config.pinned_images).some((ref) => (tryParseReference(ref)?.text ?? ref) === name);
  return pinned ? { ...MANAGED, ...PINNED } : MANAGED;
}

export const isPinned = ({ labels }: ImageRecord): boolean => hasLabels(labels, PINNED);

type Images = Containerd['images'];

/** Returns the record `name`, or undefined. */
export async function findRecord(
  images: Images,
  name: string,
  options?: CallOptions,
): Promise<ImageRecord | undefined> {
  try {
    return await images.get(name, options);
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  }
}

/** Creates the record, or updates target and labels of an existing one; its other labels stay. Returns the record. */
export async function putRecord(images: Images, record: ImageRecord, options?: CallOptions): Promise<ImageRecord> {
  try {
    return await images.create(record, options);
  } catch (thrown) {
    if (!isCode(thrown, 'ALREADY_EXISTS')) throw thrown;
    const before = await images.get(record.name, options);
    const fields = Object.keys(record.labels).filter((key) => before.labels[key] !== record.labels[key]);
    if (before.target.digest === record.target.digest && fields.length === 0) return before;
    return images.update(record, ['target', ...fields.map((key) => `labels.${key}`)], options);
  }
}

/**
 * Restores the record `name` to `before`; deletes it when `before` is undefined. A record that is gone was removed by
 * another operation or client: it stays gone, since its content may be collected.
 */
export async function restoreRecord(images: Images, name: string, before: ImageRecord | undefined): Promise<void> {
  if (!before) return images.delete(name, false);
  const now = await findRecord(images, name);
  if (!now || now.target.digest === before.target.digest) return;
  await putRecord(images, before);
}
