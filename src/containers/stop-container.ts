import type { StopContainerRequest, StopContainerResponse } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument, isCode } from '../base/errors.js';
import { sleep } from '../base/time.js';
import { signalNumber } from '../host/process.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { Container } from '../state/records.js';
import type { ContainerDeps } from './deps.js';

const SIGKILL = 9;
/** After SIGKILL the kernel, the shim and containerd get this long to say that it has ended. */
const KILLED_WITHIN_MS = 2 * 60_000;
/** A day of grace is more than Kubernetes gives. */
const MAX_GRACE_S = 86_400n;
const KILL_TRIES = 3;
const KILL_PAUSE_MS = 200;

/**
 * Stops a container: its stop signal, the grace period, SIGKILL (CRI StopContainer). It goes on when the caller gives
 * up; a repeat joins it and neither signals nor waits anew, but a shorter grace period counts. A container that is
 * unknown or not running is a success.
 */
export const stopContainer =
  (deps: Pick<ContainerDeps, 'state'>, stop: Stop) =>
  async (request: StopContainerRequest, caller: Caller): Promise<StopContainerResponse> => {
    if (request.timeout < 0n || request.timeout > MAX_GRACE_S) {
      throw invalidArgument('timeout', `expected 0 to ${MAX_GRACE_S} seconds, received ${request.timeout}`);
    }
    const container = deps.state.containers.find(request.container_id, 'container_id');
    if (container) await stop(container.id, Number(request.timeout) * 1000, caller);
    return {};
  };

/** Stops a container by its whole id: the grace in milliseconds, 0 kills at once. Succeeds when it does not run. */
export type Stop = (id: string, graceMs: number, caller: Caller) => Promise<void>;

/** One stop under way, or whose turn is still to come: when it kills, and how to bring that forward. */
interface Stopping {
  killAtMs: number;
  readonly sooner: AbortController[];
}

/** The stop itself; one is made, so that StopContainer and the pods' kills join each other. */
export function createStop(deps: ContainerDeps): Stop {
  const stopping = new Map<string, Stopping>();

  return async (id, graceMs, caller) => {
    const key = `container:${id}`;
    const phase = deps.state.containers.find(id, 'container_id')?.state.phase;
    // One that is being started may run by the time its start has ended.
    if (phase !== 'running' && !(phase === 'created' && deps.operations.isBusy(key))) return;
    const killAtMs = Date.now() + graceMs;
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
      caller,
      limitMs: graceMs + 2 * KILLED_WITHIN_MS,
      work: async (steps) => {
        try {
          await stopNow(deps, steps, id, mine);
        } finally {
          stopping.delete(id);
        }
      },
    });
  };
}

/** One whose turn never came has left what it was to do. */
const underWay = (stopping: Stopping | undefined): Stopping | undefined =>
  stopping && stopping.killAtMs + 2 * KILLED_WITHIN_MS > Date.now() ? stopping : undefined;

async function stopNow(deps: ContainerDeps, steps: Steps, id: string, stopping: Stopping): Promise<void> {
  const container = deps.state.containers.find(id, 'container_id');
  if (container?.state.phase !== 'running') return;
  if (stopping.killAtMs > Date.now()) {
    await steps.step(`send ${container.stopSignal}`, (signal) =>
      kill(deps, container, signalNumber(container.stopSignal), false, signal),
    );
    const ended = await steps.step('wait for exit', (signal) => exitedBy(deps, id, stopping, signal), undefined, {
      timeoutMs: stopping.killAtMs - Date.now() + KILLED_WITHIN_MS,
      waitingOn: () => `container ${id} to end`,
    });
    if (ended) return;
  }
  await steps.step('send SIGKILL', (signal) => kill(deps, container, SIGKILL, true, signal));
  await steps.step('wait for exit', (signal) => deps.state.containers.until(id, hasExited, signal), undefined, {
    timeoutMs: KILLED_WITHIN_MS,
    waitingOn: () => `container ${id} to end after SIGKILL`,
  });
}

const hasExited = (container: Container): boolean => container.state.phase === 'exited';

/** Waits for the exit until the time to kill, which may be brought forward; true when it has exited. */
async function exitedBy(deps: ContainerDeps, id: string, stopping: Stopping, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    const over = new AbortController();
    const exited = deps.state.containers.until(id, hasExited, AbortSignal.any([signal, over.signal]));
    stopping.sooner.push(over);
    const timer = setTimeout(() => over.abort(), Math.max(0, stopping.killAtMs - Date.now()));
    try {
      await exited;
      return true;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      if (stopping.killAtMs <= Date.now()) return false;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The signal, again when the connection to the shim broke; a process that has gone is what was wanted. */
async function kill(
  deps: ContainerDeps,
  container: Container,
  signal: number,
  all: boolean,
  abort: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await deps.containerd.tasks.kill({ containerId: container.id, signal, all }, { signal: abort });
    } catch (thrown) {
      if (isCode(thrown, 'NOT_FOUND')) return;
      if (attempt === KILL_TRIES || !(thrown instanceof CriError) || !['UNAVAILABLE', 'UNKNOWN'].includes(thrown.code))
        throw thrown;
      await sleep(KILL_PAUSE_MS * attempt, abort);
    }
  }
}
