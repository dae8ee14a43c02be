import type { Containerd } from '../containerd/containerd.js';
import { killTask } from '../sandboxer/pause.js';

/** Kills a container's task, if there is one, and takes it away with its cgroup. Succeeds when there is none. */
export async function deleteTask(
  deps: { readonly containerd: Pick<Containerd, 'tasks'> },
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  await killTask(deps.containerd, id, signal);
  await deps.containerd.tasks.delete(id, { signal, timeoutMs: 60_000 });
}
