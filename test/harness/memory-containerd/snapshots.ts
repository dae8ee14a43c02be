import { CriError, notFound } from '../../../src/base/errors.js';
import type { Labels, SnapshotMount, Snapshots } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { storedLabels } from './fields.js';
import { labelOf, matches, type FieldOf } from './filters.js';
import { addToLease } from './leases.js';
import type { MemorySnapshot, Store } from './store.js';

type Info = Awaited<ReturnType<Snapshots['stat']>>;

export function memorySnapshots(store: Store, call: Call, snapshotter: string): Snapshots {
  const snapshots = store.snapshotsOf(snapshotter);
  const existing = (key: string): MemorySnapshot => {
    const snapshot = snapshots.get(key);
    if (!snapshot) throw notFound('snapshot', key);
    return snapshot;
  };
  const make =
    (method: string, kind: 'active' | 'view'): Snapshots['prepare'] =>
    (key, parent, labels = {}, options) =>
      call(method, key, options, () => {
        if (snapshots.has(key)) throw new CriError('ALREADY_EXISTS', `snapshot "${key}": already exists`);
        requireCommitted(snapshots, parent);
        addToLease(store, options?.lease, `snapshots/${snapshotter}`, key);
        snapshots.set(key, { parent, kind, labels: storedLabels(labels) });
        return mountsOf(key, parent);
      });

  return {
    prepare: make('snapshots.prepare', 'active'),
    view: make('snapshots.view', 'view'),

    mounts: (key, options) => call('snapshots.mounts', key, options, () => mountsOf(key, existing(key).parent)),

    stat: (key, options) => call('snapshots.stat', key, options, () => infoOf(key, existing(key))),

    list: (filters, options) =>
      call('snapshots.list', '', options, () =>
        [...snapshots]
          .map(([key, snapshot]) => infoOf(key, snapshot))
          .filter((info) => matches(filters, info, fieldOf)),
      ),

    commit: (name, key, labels = {}, options) =>
      call('snapshots.commit', key, options, () => {
        if (snapshots.has(name)) throw new CriError('ALREADY_EXISTS', `snapshot "${name}": already exists`);
        const { parent, kind } = existing(key);
        if (kind !== 'active') throw new CriError('FAILED_PRECONDITION', `snapshot "${key}" is not active`);
        addToLease(store, options?.lease, `snapshots/${snapshotter}`, name);
        snapshots.delete(key);
        snapshots.set(name, { parent, kind: 'committed', labels: storedLabels(labels) });
      }),

    remove: (key, options) =>
      call('snapshots.remove', key, options, () => {
        if (snapshots.has(key) && hasChildren(snapshots, key))
          throw new CriError('FAILED_PRECONDITION', 'cannot remove snapshot with child');
        snapshots.delete(key);
      }),

    usage: (key, options) =>
      call('snapshots.usage', key, options, () => {
        existing(key);
        return { bytes: 4096n, inodes: 1n };
      }),
  };
}

function requireCommitted(snapshots: ReadonlyMap<string, MemorySnapshot>, parent: string): void {
  if (parent === '') return;
  const found = snapshots.get(parent);
  if (!found) throw new CriError('NOT_FOUND', `parent snapshot "${parent}" does not exist`);
  if (found.kind !== 'committed')
    throw new CriError('INVALID_ARGUMENT', `parent "${parent}" is not committed snapshot`);
}

const hasChildren = (snapshots: ReadonlyMap<string, MemorySnapshot>, key: string): boolean =>
  [...snapshots.values()].some(({ parent }) => parent === key);

/** Directories that do not exist: nothing mounts them. */
const mountsOf = (key: string, parent: string): SnapshotMount[] => [
  {
    type: 'overlay',
    source: 'overlay',
    target: '',
    options: [`upperdir=/memory/${key}`, `lowerdir=/memory/${parent}`],
  },
];

const infoOf = (name: string, { parent, kind, labels }: MemorySnapshot): Info & { labels: Labels } => ({
  name,
  parent,
  kind,
  labels: { ...labels },
});

const fieldOf: FieldOf<Info> = (info, [field, ...rest]) => {
  switch (field) {
    case 'name':
      return info.name;
    case 'parent':
      return info.parent;
    case 'kind':
      return info.kind;
    case 'labels':
      return labelOf(info.labels, rest);
    default:
      return undefined;
  }
};
