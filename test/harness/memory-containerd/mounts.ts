import { CriError } from '../../../src/base/errors.js';
import type { Mounts } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import type { Store } from './store.js';

/** Templates need the mount manager; of the mounts below them, it makes each. */
export function memoryMounts({ activations }: Store, call: Call): Mounts {
  return {
    activate: ({ name, mounts, temporary }, options) =>
      call('mounts.activate', name, options, () => {
        const first = temporary ? mounts.length : mounts.findIndex(({ type }) => type.includes('/'));
        if (first < 0) throw new CriError('UNIMPLEMENTED', 'not implemented');
        if (activations.has(name)) throw new CriError('ALREADY_EXISTS', `mount "${name}": already exists`);
        const system = mounts.slice(first).map((mount) => ({ ...mount, type: mount.type.replace(/.*\//, '') }));
        const mountPoints = mounts.slice(0, first).map((_, index) => `/memory/mounts/${index}`);
        const activation = { name, mountPoints, system };
        activations.set(name, activation);
        return activation;
      }),

    deactivate: (name, options) => call('mounts.deactivate', name, options, () => void activations.delete(name)),

    list: (options) => call('mounts.list', '', options, () => [...activations.values()]),
  };
}
