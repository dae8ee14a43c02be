import { CriError, notFound } from '../../../src/base/errors.js';
import type { Lease, Leases } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { storedLabels } from './fields.js';
import { labelOf, matches, type FieldOf } from './filters.js';
import { collectGarbage } from './garbage.js';
import type { MemoryLease, Store } from './store.js';

export function memoryLeases(store: Store, call: Call): Leases {
  const { leases } = store;
  return {
    create: (id, labels, options) =>
      call('leases.create', id, options, () => {
        if (leases.has(id)) throw new CriError('ALREADY_EXISTS', `lease "${id}": already exists`);
        const lease = { id, createdAtMs: Date.now(), labels: storedLabels(labels), resources: new Set<string>() };
        leases.set(id, lease);
        return copy(lease);
      }),

    delete: (id, options) =>
      call('leases.delete', id, options, () => {
        leases.delete(id);
        if (options?.sync) collectGarbage(store);
      }),

    list: (filters, options) =>
      call('leases.list', '', options, () =>
        [...leases.values()].filter((lease) => matches(filters, lease, fieldOf)).map(copy),
      ),

    resources: (id, options) =>
      call('leases.resources', id, options, () => [...existing(store, id).resources].map(resourceOf)),

    addResource: (id, resource, options) =>
      call('leases.addResource', id, options, () => addToLease(store, id, resource.type, resource.id)),
  };
}

/** Records that a call under a lease has created something. NOT_FOUND when there is no such lease. */
export function addToLease(store: Store, lease: string | undefined, type: string, id: string): void {
  if (lease !== undefined) existing(store, lease).resources.add(`${type} ${id}`);
}

export function resourceOf(text: string): { id: string; type: string } {
  const [type = '', id = ''] = text.split(' ');
  return { id, type };
}

function existing({ leases }: Store, id: string): MemoryLease {
  const lease = leases.get(id);
  if (!lease) throw notFound('lease', id);
  return lease;
}

const copy = ({ id, createdAtMs, labels }: MemoryLease): Lease => ({ id, createdAtMs, labels: { ...labels } });

const fieldOf: FieldOf<Lease> = (lease, [field, ...rest]) => {
  switch (field) {
    case 'id':
      return lease.id;
    case 'labels':
      return labelOf(lease.labels, rest);
    default:
      return undefined;
  }
};
