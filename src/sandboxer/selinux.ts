import type { SELinuxOption } from '../../generated/runtime/v1/api.js';
import { freeLevel, levelOf, selinuxLabels, type SelinuxContexts } from '../spec/security/selinux-labels.js';
import type { SelinuxLabels } from '../spec/types.js';
import type { State } from '../state/state.js';

/** Returns the SELinux labels of pods and containers; a level that crid picks is not used by another pod. */
export interface Selinux {
  labels(options: SELinuxOption | undefined, parent: string): SelinuxLabels;
}

export const createSelinux = (input: {
  contexts: SelinuxContexts;
  categories: number;
  state: Pick<State, 'pods' | 'containers'>;
}): Selinux => ({
  labels: (options, parent) =>
    selinuxLabels({
      contexts: input.contexts,
      options,
      parent,
      freeLevel: () => {
        const labelled = [...input.state.pods.list(), ...input.state.containers.list()];
        const used = new Set(labelled.map(({ processLabel }) => levelOf(processLabel)));
        return freeLevel(used, input.categories, Math.random);
      },
    }),
});
