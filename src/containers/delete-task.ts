import type { Exit } from '../containerd/containerd.js';
import { deleteOciContainer } from '../host/process/oci-runtime.js';
import { killAndDeleteTask } from '../sandboxer/kill-task.js';
import { putBackRecord } from '../state/lost-record.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * Kills a container's task, if there is one, and deletes it with its cgroup; returns how it ended. Without a task it
 * succeeds, and deletes what a start that was cut off has left in the OCI runtime.
 */
export async function deleteTask(
  deps: Pick<ContainerDeps, 'containerd' | 'state' | 'handlers'>,
  id: string,
  signal?: AbortSignal,
): Promise<Exit | undefined> {
  let deleted = await killAndDeleteTask(deps.containerd, id, signal);
  if (!deleted.found && (await putBackRecord(deps, id, { signal })))
    deleted = await killAndDeleteTask(deps.containerd, id, signal);
  if (!deleted.found) await deleteCutOff(deps, id);
  return deleted.exit;
}

/** Deletes what the OCI runtime has of a container without a task. Succeeds when there is nothing. */
export async function deleteCutOff(
  { containerd, state, handlers }: Pick<ContainerDeps, 'containerd' | 'state' | 'handlers'>,
  id: string,
): Promise<void> {
  const podId = state.containers.find(id, 'container_id')?.podId;
  const pod = podId === undefined ? undefined : state.pods.find(podId, 'pod_sandbox_id');
  const runtime = pod && handlers.of(pod).ociRuntime;
  if (runtime) await deleteOciContainer(runtime, containerd.namespace, id);
}
