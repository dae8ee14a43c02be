import { isCode } from '../base/errors.js';
import type { Exit } from '../containerd/containerd.js';
import { deleteOciContainer } from '../host/process/oci-runtime.js';
import { CLEANUP_LIMIT_MS, killShim } from '../host/process/shims.js';
import { killAndDeleteTask } from '../sandboxer/kill-task.js';
import { putBackRecord } from '../state/lost-record.js';
import { isPinned } from '../state/pod-view.js';
import type { ContainerDeps } from './container-deps.js';

export type CutOffDeps = Pick<ContainerDeps, 'containerd' | 'handlers' | 'operations' | 'state'>;

/**
 * Kills a container's task, if there is one, and deletes it with its cgroup; returns how it ended. Without a task it
 * succeeds, and deletes what a start that was cut off has left in the OCI runtime.
 */
export async function deleteTask(deps: CutOffDeps, id: string, signal?: AbortSignal): Promise<Exit | undefined> {
  let deleted = await killAndDeleteTask(deps.containerd, id, signal);
  if (!deleted.found && (await putBackRecord(deps, id, { signal })))
    deleted = await killAndDeleteTask(deps.containerd, id, signal);
  if (!deleted.found) await deleteCutOff(deps, id, signal);
  return deleted.exit;
}

/**
 * Deletes what the OCI runtime has of a container without a task, and the shim that was started for it if no container
 * runs there. Succeeds when there is nothing.
 */
export async function deleteCutOff(deps: CutOffDeps, id: string, signal?: AbortSignal): Promise<void> {
  const { containerd, state, handlers } = deps;
  const podId = state.containers.find(id, 'container_id')?.podId;
  const pod = podId === undefined ? undefined : state.pods.find(podId, 'pod_sandbox_id');
  if (!pod) return;
  if (isPinned(pod)) {
    const { namespace, address } = containerd;
    const isUsed = (): Promise<boolean> => anotherMayRun(deps, pod.id, id, signal);
    await killShim({ namespace, id, address }, { graceMs: CLEANUP_LIMIT_MS, signal, isUsed });
  }
  const runtime = handlers.of(pod).ociRuntime;
  if (runtime) await deleteOciContainer(runtime, containerd.namespace, id);
}

/** Whether another container of the pod has a task in the shim that they share, or may get one now. */
async function anotherMayRun(
  { containerd, operations, state }: CutOffDeps,
  podId: string,
  id: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const others = state.containersOf(podId).filter((container) => container.id !== id);
  if (others.some((other) => operations.isBusy(`container:${other.id}`, ['start container']))) return true;
  const have = await Promise.all(
    others.map((other) =>
      containerd.tasks.get({ containerId: other.id }, { signal }).then(
        () => true,
        // A shim that does not answer has the task.
        (thrown: unknown) => !isCode(thrown, 'NOT_FOUND'),
      ),
    ),
  );
  return have.some(Boolean);
}
