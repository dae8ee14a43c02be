import PQueue from 'p-queue';
import { CriError, isCode } from '../base/errors.js';
import { nowNs } from '../host/clock.js';
import type { CallOptions, Task } from '../containerd/containerd.js';
import { clearCheckpoint, hasCheckpoint } from '../containers/checkpoint-leftovers.js';
import type { ContainerDeps } from '../containers/deps.js';
import { deleteCutOff, deleteTask } from '../containers/tasks.js';
import { netnsIsOpen } from '../host/netns.js';
import type { PodDeps } from '../pods/deps.js';
import { releasePullLeases } from '../images/pull-lease.js';
import { removePodSandbox } from '../pods/remove-pod-sandbox.js';
import { watchSandbox } from '../pods/watch-sandbox.js';
import type { SandboxState } from '../sandboxer/sandboxer.js';
import { readRecords } from '../state/rebuild.js';
import { transition, type Container, type Pod } from '../state/records.js';
import { sweep } from './sweep.js';

/** One sick shim does not hold up the others: this many are asked at once, each for so long. */
const CONCURRENCY = 16;
const TASK_TIMEOUT_MS = 10_000;
const UNDO_TIMEOUT_MS = 60_000;

export interface RecoverDeps {
  readonly pods: PodDeps;
  readonly containers: ContainerDeps;
  readonly onExit: (id: string, exit: { exitStatus: number; exitedAtNs: bigint } | undefined) => Promise<void>;
  /** Whether containerd's own CRI plugin works in the same namespace: then nothing is swept. */
  readonly shared: boolean;
  /** Called for each leftover that was taken away. */
  readonly onSwept?: (() => void) | undefined;
}

/**
 * What a start does before the first call is answered: memory is rebuilt from containerd, streams of running
 * containers are opened again, exits that nobody saw are noticed, and what a kill has cut off is undone.
 */
export async function recover(deps: RecoverDeps): Promise<void> {
  const { state, containerd, log } = deps.containers;
  const startedMs = performance.now();
  await deps.containers.images.rebuild();
  const found = await readRecords(containerd, deps.containers.directories);
  for (const { id, error } of found.unreadable)
    log.error({ id, err: error.message }, 'record not readable, left alone');

  const queue = new PQueue({ concurrency: CONCURRENCY });
  const each = <T extends { readonly id: string }>(
    records: readonly T[],
    work: (record: T) => Promise<void>,
  ): Promise<unknown> =>
    Promise.all(
      records.map((record) =>
        queue.add(() =>
          work(record).catch((thrown: unknown) =>
            log.error({ id: record.id, err: CriError.from(thrown).message }, 'not recovered'),
          ),
        ),
      ),
    );
  const halfMadeIds = new Set(found.halfMade);
  await each(found.pods, async (pod) => {
    const phase = await recoverPod(deps.pods, pod);
    // It was written down as whole while its pause process waited to be started; or another server makes it right now.
    if (phase === 'created' && !deps.shared) halfMadeIds.add(pod.id);
  });
  await each(found.containers, (container) => recoverContainer(deps, container));

  const halfMade = state.pods.list().filter(({ id }) => halfMadeIds.has(id));
  await each(halfMade, async ({ id }) => {
    log.warn({ pod: id }, 'undoing a pod that was not finished');
    await removePodSandbox(deps.pods)({ pod_sandbox_id: id }, { deadlineMs: performance.now() + UNDO_TIMEOUT_MS });
  });
  await releasePullLeases({ containerd, log });
  if (!deps.shared) await sweep(deps.containers, deps.onSwept);
  log.info(
    {
      pods: state.pods.list().length,
      containers: state.containers.list().length,
      durationMs: Math.round(performance.now() - startedMs),
    },
    'state rebuilt',
  );
}

/** The task of a sandbox that has ended stays until the pod is stopped: with it would go the shim of the pod's containers. */
async function recoverPod(deps: PodDeps, read: Pod): Promise<SandboxState['phase']> {
  const pod: Pod = { ...read, snapshotter: read.snapshotter || deps.handlers.of(read).snapshotter };
  deps.state.pods.put(pod);
  const { sandboxer } = deps.handlers.of(pod);
  const found = await unlessSilent(sandboxer.state(pod.id, AbortSignal.timeout(TASK_TIMEOUT_MS)));
  if (!found) return awaitShim(deps, pod);
  if (markReady(deps, pod, found)) {
    watchSandbox(deps, pod);
  } else if (pod.netnsPath !== '' && !(await netnsIsOpen(pod.netnsPath))) {
    // Another server has stopped it, or the host has started anew: it has no address any more.
    deps.state.pods.put({ ...pod, network: undefined });
  }
  return found.phase;
}

/** Of a sandbox that runs; answers whether it does. */
function markReady({ state }: PodDeps, pod: Pod, found: SandboxState): boolean {
  if (found.phase !== 'running') return false;
  state.pods.put({ ...pod, endpoint: found.endpoint, state: { phase: 'ready', pid: found.pid } });
  return true;
}

/** Counts as what it was when last heard of: a kubelet gives a pod that is not ready another sandbox. */
function awaitShim(deps: PodDeps, read: Pod): 'running' {
  const { exits, handlers, log, state } = deps;
  log.warn({ pod: read.id }, 'the shim of a pod does not answer, asking on');
  if (read.state.phase === 'ready' || !read.state.released) {
    state.pods.put({ ...read, state: { phase: 'ready', pid: 0 } });
  }
  const { sandboxer } = handlers.of(read);
  exits.watch(read.id, async (signal) => {
    const found = await sandboxer.state(read.id, signal);
    const pod = state.pods.get(read.id, 'pod_sandbox_id');
    if (!markReady(deps, pod, found)) state.pods.put({ ...pod, state: read.state });
    return sandboxer.wait(read.id, signal);
  });
  return 'running';
}

async function recoverContainer(deps: RecoverDeps, read: Container): Promise<void> {
  const { state, exits } = deps.containers;
  state.containers.put(read);
  if (hasCheckpoint(deps.containers, read.id)) {
    deps.containers.log.warn({ container: read.id }, 'taking back a checkpoint that was not finished');
    await clearCheckpoint(deps.containers, read).catch((thrown: unknown) =>
      deps.containers.log.error(
        { container: read.id, err: CriError.from(thrown).message },
        'checkpoint not taken back',
      ),
    );
  }
  if (read.state.phase === 'exited' && read.state.reason !== 'Unknown') {
    await deleteTask(deps.containers, read.id, AbortSignal.timeout(TASK_TIMEOUT_MS));
    return;
  }
  const { containerd, log } = deps.containers;
  const asked = await unlessSilent(taskOf(deps.containers, read.id, { timeoutMs: TASK_TIMEOUT_MS }));
  if (asked) {
    if (await applyTask(deps, read, asked.task)) exits.watch(read.id);
    return;
  }
  log.warn({ container: read.id }, 'the shim of a container does not answer, asking on');
  exits.watch(read.id, async (signal) => {
    const { task } = await taskOf(deps.containers, read.id, { signal });
    const container = state.containers.get(read.id, 'container_id');
    if (!(await applyTask(deps, container, task))) exits.forget(read.id);
    return containerd.tasks.wait({ containerId: read.id }, { signal });
  });
}

/** Makes of a container what its task says; answers whether it has an end that is still to come. */
async function applyTask(deps: RecoverDeps, container: Container, task: Task | undefined): Promise<boolean> {
  const { id } = container;
  if (!task) {
    if (container.state.phase === 'running') await deps.onExit(id, undefined);
    else if (!deps.shared) await deleteCutOff(deps.containers, id);
    return false;
  }
  if (task.status === 'created') {
    // The start was cut off before the process ran; the next StartContainer makes a task anew.
    if (!deps.shared) await deleteTask(deps.containers, id);
    return false;
  }
  // Without its streams the container still runs, and its end must be seen.
  await reattach(deps.containers, container, task).catch((thrown: unknown) =>
    deps.containers.log.error({ container: id, err: CriError.from(thrown).message }, 'streams not opened again'),
  );
  await recordStart(deps.containers, id, task);
  if (task.status !== 'stopped') return true;
  await deps.onExit(id, { exitStatus: task.exitStatus, exitedAtNs: task.exitedAtNs });
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

/** undefined where the shim has not answered in time. */
async function unlessSilent<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (isCode(thrown, 'UNAVAILABLE') || isCode(thrown, 'DEADLINE_EXCEEDED') || isCode(thrown, 'CANCELLED')) {
      return undefined;
    }
    throw thrown;
  }
}

/** A start may have been cut off after the process ran and before that was written down. */
async function recordStart(deps: ContainerDeps, id: string, task: Task): Promise<void> {
  await deps.state.updateContainer(id, (container) => {
    const revived: Container['state'] = container.state.phase === 'exited' ? { phase: 'created' } : container.state;
    const state = transition(revived, { kind: 'started', pid: task.pid, startedAtNs: nowNs() });
    return state === container.state ? container : { ...container, state };
  });
}

async function reattach(deps: ContainerDeps, container: Container, task: Task): Promise<void> {
  if (task.stdin === '' && task.stdout === '' && task.stderr === '') return;
  const io = await deps.stdio.reattach(
    {
      containerId: container.id,
      stdin: container.config.stdin,
      stdinOnce: container.config.stdin_once,
      terminal: task.terminal,
      logPath: container.logPath || undefined,
      maxLineBytes: deps.config.runtime.max_container_log_line_size,
    },
    { stdin: task.stdin, stdout: task.stdout, stderr: task.stderr },
  );
  deps.ios.set(container.id, io);
}
