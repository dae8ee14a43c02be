import { CriError, notFound } from '../../../src/base/errors.js';
import { checkFields } from '../../../src/containerd/answers.js';
import type { ContainerRecord, Containers } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { copyAny, copyAnys, storedLabels, withFields } from './fields.js';
import { labelOf, matches, type FieldOf } from './filters.js';
import type { Store } from './store.js';

const FIELDS = { maps: ['labels', 'extensions'], whole: ['image', 'spec', 'snapshotKey', 'runtime'] } as const;

export function memoryContainers({ containers, nowNs }: Store, call: Call): Containers {
  const existing = (id: string): ContainerRecord => {
    const record = containers.get(id);
    if (!record) throw notFound('container', id);
    return record;
  };
  return {
    get: (id, options) => call('containers.get', id, options, () => copy(existing(id))),

    list: (filters, options) =>
      call('containers.list', '', options, () =>
        [...containers.values()].filter((record) => matches(filters, record, fieldOf)).map(copy),
      ),

    create: (record, options) =>
      call('containers.create', record.id, options, () => {
        if (containers.has(record.id)) throw new CriError('ALREADY_EXISTS', `container "${record.id}": already exists`);
        if (record.runtime.name === '') throw new CriError('INVALID_ARGUMENT', 'container.Runtime.Name must be set');
        const created = copy({ ...record, createdAtNs: nowNs(), labels: storedLabels(record.labels) });
        containers.set(record.id, created);
        return copy(created);
      }),

    update: (record, fields, options) =>
      call('containers.update', record.id, options, () => {
        checkFields('containers.update', fields, record.extensions);
        const changed = withFields(existing(record.id), record, fields, FIELDS);
        const stored = copy({ ...changed, labels: storedLabels(changed.labels) });
        containers.set(record.id, stored);
        return copy(stored);
      }),

    delete: (id, options) => call('containers.delete', id, options, () => void containers.delete(id)),
  };
}

const copy = (record: ContainerRecord): ContainerRecord => ({
  ...record,
  labels: { ...record.labels },
  runtime: { name: record.runtime.name, options: record.runtime.options && copyAny(record.runtime.options) },
  spec: record.spec && copyAny(record.spec),
  extensions: copyAnys(record.extensions),
});

const fieldOf: FieldOf<ContainerRecord> = (record, [field, ...rest]) => {
  switch (field) {
    case 'id':
      return record.id;
    case 'image':
      return record.image;
    case 'runtime':
      return record.runtime.name;
    case 'labels':
      return labelOf(record.labels, rest);
    default:
      return undefined;
  }
};
