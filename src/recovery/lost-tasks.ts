import { basename, dirname } from 'node:path';
import type { Containerd, ContainerRecord } from '../containerd/containerd.js';
import { killTask } from '../sandboxer/kill-task.js';
import type { Leftovers } from './leftovers.js';

type Tasks = Pick<Containerd, 'tasks' | 'containers'>;

/**
 * The containers that another client has removed the record of while crid was away and their processes ran on: those that
 * have directories of crid's, and a task.
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

/** Kills a task and takes it away. containerd finds it only by the record of its container, so there is one meanwhile. */
export async function removeLostTask({ tasks, containers }: Tasks, id: string): Promise<void> {
  await containers.create({ ...NOTHING_KNOWN, id });
  try {
    await killTask({ tasks }, id);
    await tasks.delete(id);
  } finally {
    await containers.delete(id);
  }
}

/** containerd wants a runtime; that of the task is the one that its shim says. */
const NOTHING_KNOWN: Omit<ContainerRecord, 'id'> = {
  labels: {},
  image: '',
  runtime: { name: 'io.containerd.runc.v2' },
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandbox: '',
};
