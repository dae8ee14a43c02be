import { CriError, isCode } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { ImagesConfig } from '../config/schema.js';
import type { Containerd, ImageRecord } from '../containerd/containerd.js';
import { findRecord, imageLabels, putRecord } from './image-records.js';
import { hasLabels } from './labels.js';

/**
 * Adopts an image that another client pulled, as containerd's CRI plugin does: a record named after the id keeps the
 * image when its tag moves, and labels mark it as managed, and as pinned. A failed write is logged, and the image is
 * still listed. NOT_FOUND: the record was removed meanwhile.
 */
export async function adoptRecord(
  deps: { images: Containerd['images']; config: Pick<ImagesConfig, 'pinned_images'>; log: Logger },
  record: ImageRecord,
  id: string,
): Promise<ImageRecord> {
  const { images, config, log } = deps;
  const labels = imageLabels(config, record.name);
  if (hasLabels(record.labels, labels)) return record;
  try {
    await adopt(images, { ...record, labels }, id);
    logOf(log).debug({ image: record.name, id }, 'image adopted');
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) throw thrown;
    logOf(log).warn({ image: record.name, err: CriError.from(thrown).message }, 'image not adopted');
  }
  return { ...record, labels: { ...record.labels, ...labels } };
}

async function adopt(images: Containerd['images'], record: ImageRecord, id: string): Promise<void> {
  const isNew = record.name !== id && (await findRecord(images, id)) === undefined;
  if (record.name !== id) await putRecord(images, { ...record, name: id });
  try {
    await images.update(
      record,
      Object.keys(record.labels).map((key) => `labels.${key}`),
    );
  } catch (thrown) {
    // The record was removed meanwhile: the image must not stay under its id.
    if (isCode(thrown, 'NOT_FOUND') && isNew) await images.delete(id, false);
    throw thrown;
  }
}
