import { CriError, notFound } from '../../../src/base/errors.js';
import { checkFields } from '../../../src/containerd/answers.js';
import type { SandboxRecord, SandboxStore } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { copyAny, copyAnys, storedLabels, withFields } from './fields.js';
import { labelOf, matches, type FieldOf } from './filters.js';
import type { Store } from './store.js';

const FIELDS = { maps: ['labels', 'extensions'], whole: ['spec', 'runtime'] } as const;

export function memorySandboxes({ sandboxes, nowNs }: Store, call: Call): SandboxStore {
  const existing = (id: string): SandboxRecord => {
    const record = sandboxes.get(id);
    if (!record) throw notFound('sandbox', id);
    return record;
  };
  return {
    get: (id, options) => call('sandboxes.get', id, options, () => copy(existing(id))),

    list: (filters, options) =>
      call('sandboxes.list', '', options, () =>
        [...sandboxes.values()].filter((record) => matches(filters, record, fieldOf)).map(copy),
      ),

    create: (record, options) =>
      call('sandboxes.create', record.id, options, () => {
        if (sandboxes.has(record.id)) throw new CriError('ALREADY_EXISTS', `sandbox "${record.id}": already exists`);
        const created = copy({ ...record, createdAtNs: nowNs(), labels: storedLabels(record.labels) });
        sandboxes.set(record.id, created);
        return copy(created);
      }),

    update: (record, fields, options) =>
      call('sandboxes.update', record.id, options, () => {
        checkFields('sandboxes.update', fields, record.extensions);
        const changed = withFields(existing(record.id), record, fields, FIELDS);
        const stored = copy({ ...changed, labels: storedLabels(changed.labels) });
        sandboxes.set(record.id, stored);
        return copy(stored);
      }),

    delete: (id, options) => call('sandboxes.delete', id, options, () => void sandboxes.delete(id)),
  };
}

const copy = (record: SandboxRecord): SandboxRecord => ({
  ...record,
  labels: { ...record.labels },
  runtime: { name: record.runtime.name, options: record.runtime.options && copyAny(record.runtime.options) },
  spec: record.spec && copyAny(record.spec),
  extensions: copyAnys(record.extensions),
});

const fieldOf: FieldOf<SandboxRecord> = (record, [field, ...rest]) => {
  switch (field) {
    case 'id':
      return record.id;
    case 'labels':
      return labelOf(record.labels, rest);
    default:
      return undefined;
  }
};
