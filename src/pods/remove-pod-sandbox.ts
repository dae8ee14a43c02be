import type { RemovePodSandboxRequest, RemovePodSandboxResponse } from '../../generated/runtime/v1/api.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { PodDeps } from './pod-deps.js';
import { removePodFiles } from './pod-files.js';
import { stopPod } from './stop-pod-sandbox.js';

const LIMIT_MS = 10 * 60_000;

/**
 * Stops the pod and removes it with its containers (CRI RemovePodSandbox). Repeats join; removing an unknown pod
 * succeeds. The records go last: after a failure the pod stays listed, and a retry goes on from there.
 */
export const removePodSandbox =
  (deps: PodDeps) =>
  async (request: RemovePodSandboxRequest, caller: Caller): Promise<RemovePodSandboxResponse> => {
    const pod = deps.state.pods.find(request.pod_sandbox_id, 'pod_sandbox_id');
    if (!pod) return {};
    await deps.operations.run({
      kind: 'remove pod sandbox',
      subject: pod.id,
      key: `pod:${pod.id}`,
      fingerprint: '',
      caller,
      limitMs: LIMIT_MS,
      work: async (steps) => {
        await stopPod(deps, steps, pod.id);
        await remove(deps, steps, pod.id);
      },
    });
    return {};
  };

async function remove(
  deps: Pick<PodDeps, 'containerd' | 'directories' | 'handlers' | 'imageVolumes' | 'nri' | 'removeContainer' | 'state'>,
  steps: Steps,
  id: string,
): Promise<void> {
  const pod = deps.state.pods.find(id, 'pod_sandbox_id');
  if (!pod) return;
  await steps.step('remove containers', async (signal) => {
    await Promise.all(deps.state.containersOf(id).map((container) => deps.removeContainer(container.id, { signal })));
  });
  // A container that was being made while the pod stopped may have mounted an image since.
  await steps.step('unmount images', (signal) => deps.imageVolumes.removeAll(id, pod.snapshotter, signal));
  await steps.step('remove pod files', (signal) => removePodFiles(deps.directories, id, signal));
  await deps.nri?.removed(steps, pod);
  const { sandboxer } = deps.handlers.of(pod);
  await sandboxer.remove(steps, id, pod.snapshotter);
  await steps.step('delete sandbox record', async (signal) => {
    await Promise.all([
      deps.containerd.sandboxes.delete(id, { signal }),
      deps.containerd.leases.delete(id, { signal }),
    ]);
  });
  deps.state.pods.delete(id);
}
