import type { StopContainerRequest, StopContainerResponse } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { isCode } from '../base/errors.js';
import { startTimer } from '../base/time.js';
import { signalNumber } from '../host/process/processes.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { isShimLost } from '../sandboxer/ended-shim.js';
import { sendAgain, sendSigkill, untilKilled } from '../sandboxer/kill-task.js';
import { putBackRecord } from '../state/lost-record.js';
import type { Container } from '../state/records.js';
import { findRunning } from '../state/require.js';
import type { ContainerDeps } from './container-deps.js';
import { deleteTask, type CutOffDeps } from './delete-task.js';

/** Time after SIGKILL for the kernel, the shim and containerd to report the exit. */
const KILLED_WITHIN_MS = 2 * 60_000;
/** A checkpoint freezes the process, perhaps for minutes: longer than the grace period. */
const CUTS_SHORT = ['checkpoint container'];
const RECORD_TRIES = 3;

/**
 * Stops a container: its stop signal, the grace period, SIGKILL (CRI StopContainer). The grace period may have any
 * length; 0 or less kills at once, as in containerd's plugin. The stop continues when the caller gives up. A repeat
 * joins it and neither signals nor waits again, but a shorter grace period takes effect. Other operations on the
 * container run during the grace period. Stopping a container that is unknown or not running succeeds.
 */
export const stopContainer =
  (deps: Pick<ContainerDeps, 'state'>, stop: Stop) =>
  async (request: StopContainerRequest, caller: Caller): Promise<StopContainerResponse> => {
    const container = deps.state.containers.find(request.container_id, 'container_id');
    if (container) await stop(container.id, Math.max(0, Number(request.timeout)) * 1000, caller);
    return {};
  };

/**
 * Stops a container by its full id. `graceMs`: the grace period, 0 kills at once. Succeeds when the container does not
 * run.
 */
export type Stop = (id: string, graceMs: number, caller: Caller) => Promise<void>;

/** A running or queued stop: when it kills, and how to bring that forward. */
interface Stopping {
  /** On the monotonic clock. */
  killAtMs: number;
  readonly sooner: AbortController[];
}

/** Creates the stop. There is only one, so that StopContainer and the pods' kills join each other. */
export function createStop(deps: CutOffDeps & Pick<ContainerDeps, 'describeShim' | 'nri'>): Stop {
  const stopping = new Map<string, Stopping>();

  return async (id, graceMs, caller) => {
    const key = `container:${id}`;
    const phase = deps.state.containers.find(id, 'container_id')?.state.phase;
    // A container that is being started may run once its start has ended. Plugins are told that the others are stopped.
    const isWaitedFor = phase === 'created' && (deps.operations.isBusy(key) || deps.nri?.wantsStop(id));
    if (phase !== 'running' && !isWaitedFor) return;
    const killAtMs = performance.now() + graceMs;
    const mine = underWay(stopping.get(id)) ?? { killAtMs, sooner: [] };
    stopping.set(id, mine);
    if (killAtMs < mine.killAtMs) {
      mine.killAtMs = killAtMs;
      for (const waiting of mine.sooner.splice(0)) waiting.abort();
    }
    await deps.operations.run({
      kind: 'stop container',
      subject: id,
      key,
      fingerprint: '',
      cutsShort: CUTS_SHORT,
      caller,
      limitMs: graceMs + 2 * KILLED_WITHIN_MS,
      work: async (steps) => {
        try {
          await stopNow(deps, steps, id, mine);
        } finally {
          stopping.delete(id);
        }
        const container = deps.state.containers.byId(id);
        if (container) await deps.nri?.stopped(steps, container);
      },
    });
  };
}

/** A stop that timed out in the queue leaves its entry behind: entries past their limit are ignored. */
const underWay = (stopping: Stopping | undefined): Stopping | undefined =>
  stopping && stopping.killAtMs + 2 * KILLED_WITHIN_MS > performance.now() ? stopping : undefined;

async function stopNow(
  deps: CutOffDeps & Pick<ContainerDeps, 'describeShim'>,
  steps: Steps,
  id: string,
  stopping: Stopping,
): Promise<void> {
  const container = findRunning(deps.state, id);
  if (!container) return;
  if (stopping.killAtMs > performance.now()) {
    const number = signalNumber(container.stopSignal);
    await steps.step(`send ${container.stopSignal}`, (signal) =>
      sendToContainer(
        deps,
        id,
        () => deps.containerd.tasks.kill({ containerId: id, signal: number }, { signal }),
        signal,
      ),
    );
    const ended = await steps.step('wait for exit', (signal) => exitedBy(deps, id, stopping, signal), undefined, {
      timeoutMs: stopping.killAtMs - performance.now() + KILLED_WITHIN_MS,
      waitingOn: () => `container ${id} to end`,
      givesKeyAway: true,
    });
    // A removal may have killed the container meanwhile.
    if (ended || !findRunning(deps.state, id)) return;
  }
  await steps.step('send SIGKILL', (signal) =>
    sendToContainer(deps, id, () => sendSigkill(deps.containerd, id, signal), signal),
  );
  await steps.step(
    'wait for exit',
    (signal) => untilKilled(deps.containerd, id, deps.state.containers.until(id, hasExited, signal), signal),
    undefined,
    {
      timeoutMs: KILLED_WITHIN_MS,
      waitingOn: () => `container ${id} to end after SIGKILL; ${deps.describeShim(id)}`,
      givesKeyAway: true,
    },
  );
}

const hasExited = (container: Container): boolean => container.state.phase === 'exited';

/**
 * Waits for the exit until the time to kill, which may be brought forward; returns true when the container has exited.
 */
async function exitedBy(
  deps: Pick<ContainerDeps, 'state'>,
  id: string,
  stopping: Stopping,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    const over = new AbortController();
    stopping.sooner.push(over);
    const timer = startTimer(stopping.killAtMs - performance.now(), () => over.abort());
    try {
      await withAnySignal([signal, over.signal], (ended) => deps.state.containers.until(id, hasExited, ended));
      return true;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      if (stopping.killAtMs <= performance.now()) return false;
    } finally {
      timer.clear();
    }
  }
}

/**
 * Sends a signal, also to a task whose record is gone from containerd. Succeeds when the process is already gone. When
 * the shim has ended, nothing can be sent: the container is killed, its task deleted, and its exit code unknown.
 */
async function sendToContainer(
  deps: CutOffDeps,
  id: string,
  send: () => Promise<void>,
  abort: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await sendAgain(send, abort);
    } catch (thrown) {
      if (isShimLost(thrown)) return void (await deleteTask(deps, id, abort));
      if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
      if (attempt === RECORD_TRIES || !(await putBackRecord(deps, id, { signal: abort }))) return;
    }
  }
}
