import { createShimStates } from '../host/process/shim-state.js';
import { isPinned } from './pod-view.js';
import type { State } from './state.js';

/**
 * Describes the shim of a task: a pod's containers run in the shim of its sandbox, or of the first that was started.
 * Before the state exists, it uses only the id.
 */
export function shimNames(namespace: string): {
  describe(id: string): string;
  /** Returns the pod of a container that shares a shim with its other containers alone. */
  pinnedPodOf(containerId: string): string | undefined;
  state: State | undefined;
} {
  const shims = createShimStates({ namespace });
  const names = {
    state: undefined as State | undefined,
    describe(id: string): string {
      const podId = names.state?.containers.byId(id)?.podId ?? id;
      const containers = names.state?.containersOf(podId).map((container) => container.id) ?? [];
      return shims.describe(podId, id, ...containers);
    },
    pinnedPodOf(containerId: string): string | undefined {
      const podId = names.state?.containers.byId(containerId)?.podId ?? '';
      const pod = names.state?.pods.byId(podId);
      return pod && isPinned(pod) ? podId : undefined;
    },
  };
  return names;
}
