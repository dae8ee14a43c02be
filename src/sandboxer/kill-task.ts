import { withAnySignal } from '../base/async.js';
import { CriError, isCode } from '../base/errors.js';
import { SIGKILL } from '../base/signals.js';
import { sleep, withLimit } from '../base/time.js';
import type { Containerd, Exit } from '../containerd/containerd.js';
import { isShimLost } from './ended-shim.js';

type Tasks = Pick<Containerd, 'tasks'>;

/** Sends SIGKILL to all processes of a task. NOT_FOUND when there is no task or no process. */
export const sendSigkill = ({ tasks }: Tasks, id: string, signal?: AbortSignal): Promise<void> =>
  tasks.kill({ containerId: id, signal: SIGKILL, all: true }, { signal });

const SEND_TRIES = 3;
const SEND_PAUSE_MS = 200;

/**
 * Sends a signal to a task, again after a pause when the connection to its shim breaks. When the shim has ended,
 * containerd soon forgets the task, and the next try is NOT_FOUND.
 */
export async function sendAgain<T>(send: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (thrown) {
      if (attempt === SEND_TRIES || !isBroken(thrown)) throw thrown;
      await sleep(SEND_PAUSE_MS * attempt, signal);
    }
  }
}

const isBroken = (thrown: unknown): boolean =>
  thrown instanceof CriError && ['UNAVAILABLE', 'UNKNOWN'].includes(thrown.code);

/** A task that runs ends much sooner after SIGKILL. */
const ENDS_WITHIN_MS = 200;
/** The pauses before each try to thaw a task that has not ended. */
const THAW_AFTER_MS = [ENDS_WITHIN_MS, 1_000, 5_000];
const LIMIT_MS = 60_000;

/**
 * Waits for `ended`, the end of a task after SIGKILL. A task that has not ended after a moment may be paused and is
 * thawed: under cgroup v1 a frozen process does not act on a signal before that.
 */
export async function untilKilled<T>(
  containerd: Tasks,
  id: string,
  ended: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  thawUntil(done.signal, () => thaw(containerd, id, signal)).catch(() => undefined);
  try {
    return await ended;
  } finally {
    done.abort();
  }
}

/** Calls `thaw` a few times; rejects on `ended`. After the last failure, the wait for the end exceeds its limit. */
async function thawUntil(ended: AbortSignal, thaw: () => Promise<void>): Promise<void> {
  for (const pauseMs of THAW_AFTER_MS) {
    await sleep(pauseMs, ended);
    await thaw().catch(() => undefined);
  }
}

/** Kills a task with SIGKILL, if it runs, and waits for its end; returns whether there was something to kill. */
async function killTask(containerd: Tasks, id: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await sendAgain(() => sendSigkill(containerd, id, signal), signal);
    await untilEnded(containerd, id, signal);
    return true;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return false;
    throw thrown;
  }
}

/** Waits for the end of a task that was sent SIGKILL. containerd keeps the exit until the task is deleted. */
async function untilEnded(containerd: Tasks, id: string, signal: AbortSignal | undefined): Promise<void> {
  const { tasks } = containerd;
  const noLongerNeeded = new AbortController();
  await withAnySignal([noLongerNeeded.signal, ...(signal ? [signal] : [])], async (ended) => {
    const exited = tasks.wait({ containerId: id }, { signal: ended, timeoutMs: LIMIT_MS });
    exited.catch(() => undefined);
    try {
      const end = exited.then(() => true);
      if (await withLimit(end, ENDS_WITHIN_MS, () => false)) return;
      const { status } = await tasks.get({ containerId: id }, { signal });
      // A task that was created and never started has no exit to wait for until it is deleted.
      if (status !== 'created' && status !== 'stopped') await untilKilled(containerd, id, exited, signal);
    } finally {
      noLongerNeeded.abort();
    }
  });
}

interface DeletedTask {
  /** There was a task, whose processes have ended. */
  readonly found: boolean;
  /** How it ended, if containerd knows. */
  readonly exit: Exit | undefined;
}

/** Kills a task and deletes it. */
export async function killAndDeleteTask(containerd: Tasks, id: string, signal?: AbortSignal): Promise<DeletedTask> {
  const remove = (): Promise<Exit | undefined> => containerd.tasks.delete(id, { signal, timeoutMs: LIMIT_MS });
  let killed: boolean;
  try {
    killed = await killTask(containerd, id, signal);
  } catch (thrown) {
    if (!isShimLost(thrown)) throw thrown;
    return deleteUnreachable(remove, thrown, signal);
  }
  // A task that has ended cannot be killed.
  const exit = await remove();
  return { found: killed || exit !== undefined, exit };
}

/**
 * Deletes a task whose shim has ended. containerd keeps the task of a container that was in its pod's shim until it is
 * deleted (`shimTask.delete` in containerd's core/runtime/v2/shim.go): it fails once more, and then has no such task.
 */
async function deleteUnreachable(
  remove: () => Promise<Exit | undefined>,
  reason: unknown,
  signal: AbortSignal | undefined,
): Promise<DeletedTask> {
  try {
    const exit = await sendAgain(remove, signal);
    return { found: exit !== undefined, exit };
  } catch {
    throw reason;
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
