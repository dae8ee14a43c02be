import { isCode } from '../base/errors.js';
import type { Containerd } from '../containerd/containerd.js';

export interface ExecTarget {
  readonly containerId: string;
  readonly execId: string;
}

const SIGKILL = 9;
const EXIT_WITHIN_MS = 10_000;
/** A process that never started has no exit to wait for. */
const NEVER_STARTED_MS = 2_000;

/** Kills the process of an exec, if there is one, and takes its id away. Succeeds when there is none. */
export async function removeProcess({ tasks }: Pick<Containerd, 'tasks'>, target: ExecTarget): Promise<void> {
  const gone = (thrown: unknown): void => {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  };
  const exited = tasks.wait(target, { timeoutMs: EXIT_WITHIN_MS }).then(() => undefined, gone);
  await tasks.kill({ ...target, signal: SIGKILL }).catch(gone);
  await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, NEVER_STARTED_MS).unref())]);
  await tasks.deleteExec(target);
}
