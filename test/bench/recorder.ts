import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMs } from './processes.js';
import { onBoth, type Both, type Side } from './side.js';
import { median } from './statistics.js';

/** A call takes longer only if something hangs. */
const CALL_LIMIT_MS = 120_000;
/** A pause after each call, so that its background work does not slow the other side's next call. */
const SETTLE_MS = 15;

/** The CPU time during one side's calls, in milliseconds. */
export interface Cpu {
  containerdMs: number;
  cridMs: number;
}

export interface Measured {
  readonly operation: string;
  /** Milliseconds of each call. */
  readonly samples: Both<number[]>;
  /** The median of each side in one round. */
  readonly pairs: Both<number>[];
  readonly cpu: Both<Cpu>;
}

export interface Recorder {
  readonly measured: ReadonlyMap<string, Measured>;
  /** Times one call on each side. */
  pair<T>(operation: string, call: (side: Side) => Promise<T>, options?: RoundOptions): Promise<Both<T>>;
  /** The same for work that measures itself: it returns milliseconds by the name of each operation. */
  round(
    name: string,
    work: (side: Side) => Promise<ReadonlyMap<string, readonly number[]>>,
    options?: RoundOptions,
  ): Promise<void>;
}

export interface RoundOptions {
  /** If false, the times are discarded, because the servers are warming up. */
  readonly kept?: boolean;
  /** 0 for calls that only read and leave no background work. */
  readonly settleMs?: number;
}

/** Runs every round on both sides, one directly after the other. The order changes with every round. */
export function createRecorder(options: {
  sides: Both<Side>;
  pids: { containerd: number; crid: number | undefined };
  signal: AbortSignal;
}): Recorder {
  const { sides, pids, signal } = options;
  const measured = new Map<string, Measured>();
  const rounds = new Map<string, number>();

  const inCall = async <T>(what: string, side: Side, call: (side: Side) => Promise<T>, settleMs: number) => {
    if (settleMs > 0) await sleep(settleMs);
    signal.throwIfAborted();
    const before = cpuOf(pids);
    const startedMs = performance.now();
    const value = await within(call(side), `${what} of ${side.name}`, signal);
    const ms = performance.now() - startedMs;
    const after = cpuOf(pids);
    return {
      value,
      ms,
      cpu: { containerdMs: after.containerdMs - before.containerdMs, cridMs: after.cridMs - before.cridMs },
    };
  };

  const alternate = (what: string): boolean => {
    const round = rounds.get(what) ?? 0;
    rounds.set(what, round + 1);
    return round % 2 === 1;
  };

  const add = (operation: string, times: Both<readonly number[]>, cpu: Both<Cpu>): void => {
    const entry = measured.get(operation) ?? emptyEntry(operation);
    measured.set(operation, entry);
    for (const key of ['reference', 'candidate'] as const) {
      entry.samples[key].push(...times[key]);
      entry.cpu[key].containerdMs += cpu[key].containerdMs;
      entry.cpu[key].cridMs += cpu[key].cridMs;
    }
    entry.pairs.push({ reference: median(times.reference), candidate: median(times.candidate) });
  };

  return {
    measured,
    async pair(operation, call, { kept = true, settleMs = SETTLE_MS } = {}) {
      const swapped = alternate(operation);
      const { reference, candidate } = await onBoth(sides, (side) => inCall(operation, side, call, settleMs), swapped);
      if (kept) {
        const cpu = { reference: reference.cpu, candidate: candidate.cpu };
        add(operation, { reference: [reference.ms], candidate: [candidate.ms] }, cpu);
      }
      return { reference: reference.value, candidate: candidate.value };
    },
    async round(name, work, { kept = true, settleMs = SETTLE_MS } = {}) {
      const swapped = alternate(name);
      const { reference, candidate } = await onBoth(sides, (side) => inCall(name, side, work, settleMs), swapped);
      if (!kept) return;
      const cpu = { reference: reference.cpu, candidate: candidate.cpu };
      for (const [operation, times] of reference.value) {
        add(operation, { reference: times, candidate: candidate.value.get(operation) ?? [] }, cpu);
      }
    },
  };
}

const emptyEntry = (operation: string): Measured => ({
  operation,
  samples: { reference: [], candidate: [] },
  pairs: [],
  cpu: { reference: { containerdMs: 0, cridMs: 0 }, candidate: { containerdMs: 0, cridMs: 0 } },
});

const cpuOf = (pids: { containerd: number; crid: number | undefined }): Cpu => ({
  containerdMs: cpuMs(pids.containerd),
  cridMs: pids.crid === undefined ? 0 : cpuMs(pids.crid),
});

/** Returns the result of `work`. Throws if it hangs or if the benchmark is interrupted. */
async function within<T>(work: Promise<T>, what: string, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    const timer = setTimeout(() => reject(new Error(`${what} took longer than ${CALL_LIMIT_MS} ms`)), CALL_LIMIT_MS);
    signal.addEventListener('abort', onAbort, { once: true });
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
  });
  try {
    return await Promise.race([work, ended]);
  } catch (thrown) {
    throw signal.aborted ? thrown : new Error(`${what}: ${(thrown as Error).message}`, { cause: thrown });
  } finally {
    stop();
  }
}
