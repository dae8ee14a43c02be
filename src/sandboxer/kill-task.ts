import { isCode } from '../base/errors.js';
import { SIGKILL } from '../base/signals.js';
import type { Containerd } from '../containerd/containerd.js';

type Tasks = Pick<Containerd, 'tasks'>;

/**
 * Sends SIGKILL to all processes of a task, and thaws a paused one: under cgroup v1 a frozen process does not act on a
 * signal before it is thawed. NOT_FOUND when there is no task or no process.
 */
export async function sendSigkill({ tasks }: Tasks, id: string, signal?: AbortSignal): Promise<void> {
  await tasks.kill({ containerId: id, signal: SIGKILL, all: true }, { signal });
  await thaw({ tasks }, id, signal);
}

/** Kills a task with SIGKILL, if it runs, and waits for its end; returns whether there is a task. */
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

/** Resumes a paused task. Succeeds when the task is gone, since the kill has been sent. */
async function thaw({ tasks }: Tasks, id: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    const { status } = await tasks.get({ containerId: id }, { signal });
    if (status === 'paused' || status === 'pausing') await tasks.resume(id, { signal });
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  }
}
