import type { Any } from '../../../src/containerd/containerd.js';
import { resourceOf } from './leases.js';
import type { Store } from './store.js';

/** Everything that containerd keeps, as plain data, for a deep comparison of two moments. */
export type Dump = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * A lease keeps the names of snapshots that have been removed, as in containerd; the dump has only those that exist.
 */
export function dump(store: Store): Dump {
  const { containers, sandboxes, images, blobs, leases, tasks, running, activations, snapshotters } = store;
  const exists = (text: string): boolean => {
    const { id, type } = resourceOf(text);
    return snapshotters.get(type.replace(/^snapshots\//, ''))?.has(id) ?? false;
  };
  return {
    containers: each(containers, ({ spec, extensions, runtime, ...record }) => ({
      ...record,
      runtime: runtime.name,
      spec: spec && text(spec),
      extensions: texts(extensions),
    })),
    sandboxes: each(sandboxes, ({ runtime, extensions, ...record }) => ({
      ...record,
      runtime: runtime.name,
      extensions: texts(extensions),
    })),
    images: each(images, (image) => image),
    blobs: each(blobs, ({ labels }) => labels),
    leases: each(leases, ({ labels, resources }) => ({ labels, resources: [...resources].filter(exists).sort() })),
    activations: each(activations, (activation) => activation),
    running: each(running, ({ isReady, exit }) => ({ isReady, exit })),
    tasks: each(tasks, ({ pid, io, endpoint, status, exit }) => ({ pid, io, endpoint, status, exit })),
    ...Object.fromEntries([...snapshotters].map(([name, all]) => [`snapshots of ${name}`, each(all, (one) => one)])),
  };
}

const each = <T>(map: ReadonlyMap<string, T>, shown: (value: T) => unknown): Record<string, unknown> =>
  Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, shown(value)]));

const text = ({ value }: Any): string => Buffer.from(value).toString();

const texts = (anys: Readonly<Record<string, Any>>): Record<string, string> =>
  Object.fromEntries(Object.entries(anys).map(([key, any]) => [key, text(any)]));
