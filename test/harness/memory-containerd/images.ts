import { CriError, notFound } from '../../../src/base/errors.js';
import { checkFields } from '../../../src/containerd/answers.js';
import type { ImageRecord, Images } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { emit } from './events.js';
import { storedLabels, withFields } from './fields.js';
import { labelOf, matches, type FieldOf } from './filters.js';
import { collectGarbage } from './garbage.js';
import type { Store } from './store.js';

const FIELDS = { maps: ['labels'], whole: ['target'] } as const;

export function memoryImages(store: Store, call: Call): Images {
  const { images } = store;
  const existing = (name: string): ImageRecord => {
    const image = images.get(name);
    if (!image) throw notFound('image', name);
    return image;
  };
  const put = (image: ImageRecord): ImageRecord => {
    const stored = { ...image, labels: storedLabels(image.labels) };
    images.set(image.name, stored);
    emit(store, { kind: 'image-changed', name: image.name, deleted: false });
    return copy(stored);
  };
  return {
    get: (name, options) => call('images.get', name, options, () => copy(existing(name))),

    list: (filters, options) =>
      call('images.list', '', options, () =>
        [...images.values()].filter((image) => matches(filters, image, fieldOf)).map(copy),
      ),

    create: (image, options) =>
      call('images.create', image.name, options, () => {
        if (images.has(image.name)) throw new CriError('ALREADY_EXISTS', `image "${image.name}": already exists`);
        return put(image);
      }),

    update: (image, fields, options) =>
      call('images.update', image.name, options, () => {
        checkFields('images.update', fields, undefined);
        return put(withFields(existing(image.name), image, fields, FIELDS));
      }),

    delete: (name, sync, options) =>
      call('images.delete', name, options, () => {
        if (images.delete(name)) emit(store, { kind: 'image-changed', name, deleted: true });
        if (sync) collectGarbage(store);
      }),
  };
}

const copy = ({ name, labels, target }: ImageRecord): ImageRecord => ({
  name,
  labels: { ...labels },
  target: { ...target, annotations: { ...target.annotations } },
});

const fieldOf: FieldOf<ImageRecord> = (image, [field, ...rest]) => {
  if (field === 'name') return image.name;
  if (field === 'labels') return labelOf(image.labels, rest);
  return field === 'target' && rest[0] === 'digest' ? image.target.digest : undefined;
};
