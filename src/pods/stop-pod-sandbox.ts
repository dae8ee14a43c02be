import PQueue from 'p-queue';
import type { StopPodSandboxRequest, StopPodSandboxResponse } from '../../generated/runtime/v1/api.js';
import { CriError, isCode } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { removeNetns } from '../host/namespace/netns.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { RELEASED_LABEL } from '../state/labels.js';
import type { Pod } from '../state/records.js';
import type { PodDeps } from './pod-deps.js';
import { unmountPodFiles } from './pod-files.js';
import { networkPod } from './pod-network.js';
import { sandboxRecord } from './pod-records.js';
import { watchSandbox } from './watch-sandbox.js';

/** Long enough for every DEL and kill to use up its own time. */
const LIMIT_MS = 10 * 60_000;
export const DETACH_TIMEOUT_MS = 60_000;
const MAX_FAILED_DETACHES = 5;
/** A shim whose containers all end at once stops answering for ever: seen with 64 of them (containerd 2.1.9). */
const KILLS_AT_ONCE = 8;

/**
 * Kills the containers of the pod and releases its network (CRI StopPodSandbox). Repeats join; stopping a pod that is
 * unknown or already stopped succeeds.
 */
export const stopPodSandbox =
  (deps: PodDeps) =>
  async (request: StopPodSandboxRequest, caller: Caller): Promise<StopPodSandboxResponse> => {
    const pod = deps.state.pods.find(request.pod_sandbox_id, 'pod_sandbox_id');
    if (!pod) return {};
    await deps.operations.run({
      kind: 'stop pod sandbox',
      subject: pod.id,
      key: `pod:${pod.id}`,
      fingerprint: '',
      caller,
      limitMs: LIMIT_MS,
      work: (steps) => stopPod(deps, steps, pod.id),
    });
    return {};
  };

/** Runs the steps of a stop; a removal begins with them too. Nothing is undone: a retry does what is left. */
export async function stopPod(deps: PodDeps, steps: Steps, id: string): Promise<void> {
  const pod = deps.state.pods.find(id, 'pod_sandbox_id');
  if (!pod || (pod.state.phase === 'not-ready' && pod.state.released)) return;
  await steps.step('kill containers', async (signal) => {
    const containers = deps.state.containersOf(id);
    const kills = new PQueue({ concurrency: KILLS_AT_ONCE });
    await kills.addAll(containers.map((container) => () => deps.killContainer(container.id, { signal })));
    // The containers live in the pause container's shim, which must not end before the last of their tasks is deleted.
    // No container starts meanwhile.
    await Promise.all(containers.map((container) => deps.exits.takeAway(container.id)));
  });
  await deps.nri?.stopped(steps, pod);
  // In parallel: the network namespace outlives its last process, so neither has to wait for the other.
  await Promise.all([stopSandbox(deps, steps, pod), releaseNetwork(deps, steps, pod)]);
  await Promise.all([
    steps.step('unmount images', (signal) => deps.imageVolumes.removeAll(id, pod.snapshotter, signal)),
    steps.step('unmount pod files', () => unmountPodFiles(deps.directories, id)),
  ]);
  await steps.step('record release', (signal) => recordRelease(deps, pod, signal));
  publish(deps, id, { phase: 'not-ready', released: true, failedDetaches: 0 });
}

async function stopSandbox(deps: Pick<PodDeps, 'exits' | 'handlers' | 'state'>, steps: Steps, pod: Pod): Promise<void> {
  const { sandboxer, ociRuntime } = deps.handlers.of(pod);
  // Stop the watch: the exit is expected now. If the stop fails, the sandbox is watched again.
  deps.exits.forget(pod.id);
  const hasEnded = pod.state.phase === 'not-ready' && !pod.halfMade;
  await steps
    .step('stop sandbox', (signal) => sandboxer.stop(pod.id, signal, { hasEnded, ociRuntime }))
    .catch((thrown: unknown) => {
      if (pod.state.phase === 'ready') watchSandbox(deps, pod);
      throw thrown;
    });
  publish(deps, pod.id, { phase: 'not-ready', released: false, failedDetaches: failedDetachesOf(deps, pod.id) });
}

async function releaseNetwork(
  deps: Pick<PodDeps, 'handlers' | 'log' | 'state'>,
  steps: Steps,
  pod: Pod,
): Promise<void> {
  if (pod.netnsPath === '') return;
  const { network } = deps.handlers.of(pod);
  await steps.step('delete network', (signal) => detach(deps, pod, signal), undefined, {
    timeoutMs: DETACH_TIMEOUT_MS,
    waitingOn: () => network.waitingOn(pod.id),
  });
  await steps.step('remove network namespace', () => removeNetns(pod.netnsPath));
}

/** Returns how many stops of the pod have failed because its network could not be deleted. */
function failedDetachesOf(deps: Pick<PodDeps, 'state'>, id: string): number {
  const state = deps.state.pods.byId(id)?.state;
  return state?.phase === 'not-ready' ? state.failedDetaches : 0;
}

/**
 * Records the release of the network, so that it is not deleted again after a restart. A pod without a sandbox record
 * is being undone. A full disk must not fail the stop, because a kubelet frees space by removing pods; the network is
 * then deleted again after a restart.
 */
async function recordRelease(deps: Pick<PodDeps, 'containerd' | 'log'>, pod: Pod, signal: AbortSignal): Promise<void> {
  try {
    await deps.containerd.sandboxes.update(
      sandboxRecord(pod, { [RELEASED_LABEL]: 'true' }),
      [`labels.${RELEASED_LABEL}`],
      { signal },
    );
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return;
    if (!isCode(thrown, 'RESOURCE_EXHAUSTED')) throw thrown;
    logOf(deps.log).warn({ pod: pod.id, err: thrown.message }, 'release of the network not recorded');
  }
}

/**
 * Deletes the pod's network. A successful ADD must be undone even when the namespace is gone: the failure is returned,
 * and the kubelet retries. A network that can never be deleted must not keep its pod for ever: after
 * MAX_FAILED_DETACHES failed stops the failure is logged, and the namespace is removed with the interfaces in it.
 */
async function detach(deps: Pick<PodDeps, 'handlers' | 'log' | 'state'>, pod: Pod, signal: AbortSignal): Promise<void> {
  try {
    await deps.handlers.of(pod).network.detach(networkPod(pod), signal);
  } catch (thrown) {
    const failed = failedDetachesOf(deps, pod.id) + 1;
    publish(deps, pod.id, { phase: 'not-ready', released: false, failedDetaches: failed });
    const mayHaveAdded = pod.network !== undefined || pod.halfMade === true;
    if (mayHaveAdded && failed < MAX_FAILED_DETACHES) throw thrown;
    logOf(deps.log).error(
      { pod: pod.id, failed, err: CriError.from(thrown).message },
      'network not deleted, its addresses may be lost',
    );
  }
}

function publish(deps: Pick<PodDeps, 'state'>, id: string, state: Pod['state']): void {
  const pod = deps.state.pods.byId(id);
  if (pod) deps.state.pods.put({ ...pod, state });
}
