import { netnsIsOpen } from '../host/namespace/netns.js';
import type { Steps } from '../operation/steps.js';
import type { PodDeps } from '../pods/pod-deps.js';
import { watchSandbox } from '../pods/watch-sandbox.js';
import type { SandboxState } from '../sandboxer/sandboxer.js';
import type { Pod } from '../state/records.js';
import { askWithin, unlessSilent } from './ask-within.js';
import { TASK_TIMEOUT_MS } from './recovery-deps.js';

/**
 * Returns the pod as it is published before its sandboxer has answered: ready, unless its network has been released or
 * it was never finished. A kubelet replaces a pod that is not ready.
 */
export const assumedPod = (read: Pod): Pod =>
  read.halfMade
    ? { ...read, undoing: true }
    : read.state.phase === 'not-ready' && read.state.released
      ? read
      : { ...read, state: { phase: 'ready', pid: 0 } };

/** Queries the sandboxer for the state of a pod and publishes it; returns the phase, `running` without an answer. */
export async function recoverPod(
  deps: Pick<PodDeps, 'exits' | 'handlers' | 'log' | 'state'>,
  steps: Steps,
  read: Pod,
  closing: AbortSignal,
): Promise<SandboxState['phase']> {
  const { sandboxer } = deps.handlers.of(read);
  const found = await steps.step('ask sandbox', () =>
    unlessSilent(askWithin(TASK_TIMEOUT_MS, closing, (signal) => sandboxer.state(read, signal))),
  );
  if (!found) return awaitShim(deps, read);
  const pod = deps.state.pods.byId(read.id);
  if (!pod) return found.phase;
  if (markReady(deps, pod, found)) {
    watchSandbox(deps, pod);
    return found.phase;
  }
  // Another server has stopped the pod, or the host has restarted: without its network namespace the pod has no address
  // any more. The results of its ADD must still be undone.
  const hasLost = pod.netnsPath !== '' && !(await netnsIsOpen(pod.netnsPath));
  const network = hasLost && pod.network ? { ...pod.network, ips: [] } : pod.network;
  deps.state.pods.put({ ...pod, network, state: read.state });
  return found.phase;
}

/** Publishes a running sandbox as a ready pod; returns whether it runs. */
function markReady({ state }: Pick<PodDeps, 'state'>, pod: Pod, found: SandboxState): boolean {
  if (found.phase !== 'running') return false;
  state.pods.put({ ...pod, endpoint: found.endpoint, state: { phase: 'ready', pid: found.pid } });
  return true;
}

/** Leaves the pod as it was assumed to be; a watch waits for the sandboxer's answer. */
function awaitShim(deps: Pick<PodDeps, 'exits' | 'handlers' | 'log' | 'state'>, read: Pod): 'running' {
  const { exits, handlers, log, state } = deps;
  log.warn({ pod: read.id }, 'the shim of a pod does not respond, asking again');
  const { sandboxer } = handlers.of(read);
  exits.watch(read.id, async (signal) => {
    const found = await sandboxer.state(read, signal);
    const pod = state.pods.get(read.id, 'pod_sandbox_id');
    if (!markReady(deps, pod, found)) state.pods.put({ ...pod, state: read.state });
    return sandboxer.wait(read.id, signal);
  });
  return 'running';
}
