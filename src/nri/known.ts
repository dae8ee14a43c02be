import type { State } from '../state/state.js';
import type { Subject } from './port.js';
import { containerFor, podFor, type HookDeps } from './tell.js';

/**
 * Returns what a plugin that registers is told: the pods, and the containers that have not ended. Pods that are being
 * undone are left out.
 */
export function knownSubjects(deps: Pick<HookDeps, 'specs'> & { readonly state: State }): Subject[] {
  const { pods, containers } = deps.state;
  return [
    ...pods
      .list()
      .filter(({ halfMade, undoing }) => !halfMade && !undoing)
      .map(({ id }): Subject => ({
        kind: 'pod',
        id,
        message: async (signal) => {
          const pod = pods.byId(id);
          return pod && podFor(deps, pod, signal);
        },
      })),
    ...containers
      .list()
      .filter(({ state }) => state.phase !== 'exited')
      .map(({ id }): Subject => ({
        kind: 'container',
        id,
        message: async (signal) => {
          const container = containers.byId(id);
          return container && (await containerFor(deps, container, signal)).container;
        },
      })),
  ];
}
