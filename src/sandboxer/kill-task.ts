import { isCode } from '../base/errors.js';
import type { Containerd } from '../containerd/containerd.js';

const SIGKILL = 9;

type Tasks = Pick<Containerd, 'tasks'>;

/**
 * SIGKILL to all processes of a task, which ends also a paused one: under cgroup v1 a frozen process does not act on a
 * signal before it is thawed. NOT_FOUND where there is no task or no process.
 */
export async function sendSigkill({ tasks }: Tasks, id: string, signal?: AbortSignal): Promise<void> {
  await tasks.kill({ containerId: id, signal: SIGKILL, all: true }, { signal });
  await thaw({ tasks }, id, signal);
}

/** SIGKILL to a task and the wait for its end, if it runs; returns whether there is a task. */
export async function killTask(containerd: Tasks, id: string, signal?: AbortSignal): Promise<boolean> {
  try {
    const { status } = await containerd.tasks.get({ containerId: id }, { signal });
    if (status === 'stopped') return true;
    const exited = containerd.tasks.wait({ containerId: id }, { signal, timeoutMs: 60_000 });
    exited.catch(() => undefined);
    await sendSigkill(containerd, id, signal);
    // A task that was created and never started has no exit to wait for until it is deleted.
    if (status !== 'created') await exited;
    return true;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return false;
    throw thrown;
  }
}

/** The kill has been sent: a task that has gone meanwhile is what was wanted. */
async function thaw({ tasks }: Tasks, id: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    const { status } = await tasks.get({ containerId: id }, { signal });
    if (status === 'paused' || status === 'pausing') await tasks.resume(id, { signal });
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  }
}
