import { CriError, isCode } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import type { CallOptions, Task } from '../containerd/containerd.js';
import { clearCheckpoint, hasCheckpoint } from '../containers/checkpoint-leftovers.js';
import type { ContainerDeps } from '../containers/container-deps.js';
import { deleteCutOff, deleteTask } from '../containers/delete-task.js';
import type { Steps } from '../operation/steps.js';
import type { PodDeps } from '../pods/pod-deps.js';
import { logDirectoryOf } from '../spec/log-path.js';
import { recordFact } from '../state/record-fact.js';
import { transition, type Container } from '../state/records.js';
import { askWithin, unlessSilent } from './ask-within.js';
import { TASK_TIMEOUT_MS, type Beside, type RecoverDeps } from './recovery-deps.js';

/** Whether the record says how the container ended, so that its task need not be queried. */
export const hasEnded = ({ state }: Container): boolean => state.phase === 'exited' && state.reason !== 'Unknown';

/**
 * Queries the task of a container, publishes its state and reopens its streams. Deletes the task of a container that
 * has ended, once calls are being served.
 */
export async function recoverContainer(
  deps: RecoverDeps,
  steps: Steps,
  read: Container,
  { served, closing }: Beside,
): Promise<void> {
  const { state, exits, containerd, log } = deps.containers;
  const { id } = read;
  if (hasCheckpoint(deps.containers, id)) await takeBackCheckpoint(deps.containers, steps, read);
  if (hasEnded(read)) {
    await served;
    await steps.step('delete task', () =>
      askWithin(TASK_TIMEOUT_MS, closing, (signal) => deleteTask(deps.containers, id, signal)),
    );
    return;
  }
  const asked = await steps.step('ask task', () =>
    unlessSilent(askWithin(TASK_TIMEOUT_MS, closing, (signal) => taskOf(deps.containers, id, { signal }))),
  );
  if (asked) {
    await steps.step('publish state', async () => {
      if (await applyTask(deps, read, asked.task)) exits.watch(id);
    });
    return;
  }
  log.warn({ container: id }, 'the shim of a container does not respond, asking again');
  exits.watch(id, async (signal) => {
    const { task } = await taskOf(deps.containers, id, { signal });
    const container = state.containers.get(id, 'container_id');
    if (!(await applyTask(deps, container, task))) exits.unwatch(id);
    return containerd.tasks.wait({ containerId: id }, { signal });
  });
}

async function takeBackCheckpoint(
  deps: Pick<ContainerDeps, 'containerd' | 'directories' | 'log'>,
  steps: Steps,
  container: Container,
): Promise<void> {
  deps.log.warn({ container: container.id }, 'taking back a checkpoint that was not finished');
  await steps.step('take back checkpoint', () =>
    clearCheckpoint(deps, container).catch((thrown: unknown) =>
      deps.log.error({ container: container.id, err: CriError.from(thrown).message }, 'checkpoint not taken back'),
    ),
  );
}

/** Publishes the state that a container's task reports; returns whether its exit is still to come. */
async function applyTask(deps: RecoverDeps, container: Container, task: Task | undefined): Promise<boolean> {
  const { id } = container;
  if (!task) {
    if (container.state.phase === 'running') await deps.containers.exits.found(id, undefined);
    else if (!deps.shared) await deleteCutOff(deps.containers, id);
    return false;
  }
  if (task.status === 'created') {
    // The start was cut off before the process ran; the next StartContainer makes a new task.
    if (!deps.shared) await deleteTask(deps.containers, id);
    return false;
  }
  // A container runs even without its streams, and its exit must be seen.
  await reattach(deps.containers, container, task).catch((thrown: unknown) =>
    deps.containers.log.error({ container: id, err: CriError.from(thrown).message }, 'streams not opened again'),
  );
  await recordStart(deps.containers, id, task);
  if (task.status !== 'stopped') return true;
  await deps.containers.exits.found(id, { exitStatus: task.exitStatus, exitedAtNs: task.exitedAtNs });
  return false;
}

async function taskOf(
  { containerd }: Pick<PodDeps, 'containerd'>,
  id: string,
  options: CallOptions,
): Promise<{ task: Task | undefined }> {
  try {
    return { task: await containerd.tasks.get({ containerId: id }, options) };
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return { task: undefined };
    throw thrown;
  }
}

/** Records the start: it may have been cut off after the process ran and before that was recorded. */
async function recordStart(deps: Pick<ContainerDeps, 'log' | 'state'>, id: string, task: Task): Promise<void> {
  await recordFact(deps, id, (container) => {
    const revived: Container['state'] = container.state.phase === 'exited' ? { phase: 'created' } : container.state;
    const state = transition(revived, { kind: 'started', pid: task.pid, startedAtNs: nowNs() });
    return state === container.state ? container : { ...container, state };
  });
}

async function reattach(
  deps: Pick<ContainerDeps, 'config' | 'stdio'>,
  container: Container,
  task: Task,
): Promise<void> {
  if (task.stdin === '' && task.stdout === '' && task.stderr === '') return;
  await deps.stdio.reattach(
    {
      containerId: container.id,
      stdin: container.config.stdin,
      terminal: task.terminal,
      logPath: container.logPath || undefined,
      logDirectory: logDirectoryOf(container),
      maxLineBytes: deps.config.runtime.max_container_log_line_size,
    },
    { stdin: task.stdin, stdout: task.stdout, stderr: task.stderr },
  );
}
