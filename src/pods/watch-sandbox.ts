import type { Pod } from '../state/records.js';
import type { PodDeps } from './pod-deps.js';

/** Begins to watch for the end of a pod's sandbox, which its sandboxer reports. */
export function watchSandbox(deps: Pick<PodDeps, 'exits' | 'handlers'>, pod: Pod): void {
  const { sandboxer } = deps.handlers.of(pod);
  deps.exits.watch(pod.id, (signal) => sandboxer.wait(pod.id, signal));
}
