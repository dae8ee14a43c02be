import { basename, dirname } from 'node:path';
import type { Containerd, ContainerRecord } from '../containerd/containerd.js';
import { killAndDeleteTask } from '../sandboxer/kill-task.js';
import type { Leftovers } from './leftovers.js';

type Tasks = Pick<Containerd, 'tasks' | 'containers'>;

/**
 * Returns the ids of containers whose record another client has removed while crid was away, and whose processes have
 * run on: those that have a directory of crid's, and a task.
 */
export async function lostTasks(
  { tasks }: Tasks,
  leftovers: Leftovers,
  isClaimed: (id: string) => boolean,
): Promise<string[]> {
  const ofContainers = leftovers.directories.filter(({ path }) => basename(dirname(path)) === 'containers');
  const lost = new Set(ofContainers.map(({ id }) => id).filter((id) => !isClaimed(id)));
  if (lost.size === 0) return [];
  return (await tasks.list()).map(({ containerId }) => containerId).filter((id) => lost.has(id));
}

/** Kills and deletes a task. containerd finds a task only by its container's record, so a record is made meanwhile. */
export async function removeLostTask({ tasks, containers }: Tasks, id: string): Promise<void> {
  await containers.create({ ...NOTHING_KNOWN, id });
  try {
    await killAndDeleteTask({ tasks }, id);
  } finally {
    await containers.delete(id);
  }
}

/** containerd requires a runtime here; the task's actual runtime is the one that its shim reports. */
const NOTHING_KNOWN: Omit<ContainerRecord, 'id'> = {
  labels: {},
  image: '',
  runtime: { name: 'io.containerd.runc.v2' },
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandbox: '',
};
