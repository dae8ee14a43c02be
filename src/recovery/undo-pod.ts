import { isCode } from '../base/errors.js';
import type { Steps } from '../operation/steps.js';
import type { PodDeps } from '../pods/pod-deps.js';
import { sandboxRecord } from '../pods/pod-records.js';
import { removePodSandbox } from '../pods/remove-pod-sandbox.js';
import { CREATING_LABEL } from '../state/labels.js';
import type { Pod } from '../state/records.js';

/** The kind of the operation that undoes a pod at start, as `crid why` shows it. */
export const UNDO_POD = 'undo pod sandbox';
const REMOVE_LIMIT_MS = 10 * 60_000;

/**
 * Removes a pod whose creation was interrupted. If that fails, the pod is listed as not ready, so that the kubelet can
 * remove it, and the next start tries again.
 */
export async function undoPod(deps: PodDeps, steps: Steps, pod: Pod): Promise<void> {
  deps.log.warn({ pod: pod.id }, 'undoing a pod that was not finished');
  try {
    await undo(deps, steps, pod);
  } catch (thrown) {
    const left = deps.state.pods.byId(pod.id);
    if (left) deps.state.pods.put({ ...left, undoing: false });
    throw thrown;
  }
}

async function undo(deps: PodDeps, steps: Steps, pod: Pod): Promise<void> {
  // The process may be gone before the records are; after a kill in between, only this mark is left for the next start.
  await steps.step('mark as unfinished', (signal) => markUnfinished(deps, pod, signal));
  await steps.step(
    'remove pod sandbox',
    (signal) => removePodSandbox(deps)({ pod_sandbox_id: pod.id }, { signal }),
    undefined,
    { timeoutMs: REMOVE_LIMIT_MS },
  );
}

async function markUnfinished(
  { containerd }: Pick<PodDeps, 'containerd'>,
  pod: Pod,
  signal: AbortSignal,
): Promise<void> {
  const record = sandboxRecord(pod, { [CREATING_LABEL]: 'true' });
  try {
    await containerd.sandboxes.update(record, [`labels.${CREATING_LABEL}`], { signal });
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  }
}
