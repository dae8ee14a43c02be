import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMs } from './processes.js';
import { mapEach, of, onEach, type Each, type Side } from './side.js';
import { median } from './statistics.js';

/** A call takes longer only if something hangs. */
const CALL_LIMIT_MS = 120_000;
/** A pause after each call, so that its background work does not slow the other side's next call. */
const SETTLE_MS = 15;

/** The CPU time during one side's calls, in milliseconds. */
export interface Cpu {
  readonly containerdMs: number;
  /** That side's crid; 0 for containerd's plugin. */
  readonly cridMs: number;
}

export interface Measured {
  readonly operation: string;
  /** Milliseconds of each call. */
  readonly samples: Each<number[]>;
  /** The median of each side in one round. */
  readonly pairs: Each<number>[];
  /** The sum over all calls. Of the operations of one round, only the one with the round's name has it. */
  cpu: Each<Cpu>;
}

export interface Recorder {
  readonly measured: ReadonlyMap<string, Measured>;
  /** The sums over all kept calls. */
  cpu(): Each<Cpu>;
  /** Takes over the operations of another recorder. */
  adopt(other: Recorder): void;
  /** Times one call on each side. */
  pair<T>(operation: string, call: (side: Side) => Promise<T>, options?: RoundOptions): Promise<Each<T>>;
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

/** Runs every round on all sides, one directly after the other. The order changes with every round. */
export function createRecorder(options: { sides: Each<Side>; containerdPid: number; signal: AbortSignal }): Recorder {
  const { sides, containerdPid, signal } = options;
  const measured = new Map<string, Measured>();
  const turns = new Map<string, number>();

  const cpuOf = ({ pid }: Side): Cpu => ({
    containerdMs: cpuMs(containerdPid),
    cridMs: pid === undefined ? 0 : cpuMs(pid),
  });

  const inCall = async <T>(what: string, side: Side, call: (side: Side) => Promise<T>, settleMs: number) => {
    if (settleMs > 0) await sleep(settleMs);
    signal.throwIfAborted();
    const before = cpuOf(side);
    const startedMs = performance.now();
    const value = await within(call(side), `${what} of ${side.name}`, signal);
    const ms = performance.now() - startedMs;
    return { value, ms, cpu: sumOf(cpuOf(side), before, -1) };
  };

  const turnOf = (what: string): number => {
    const turn = turns.get(what) ?? 0;
    turns.set(what, turn + 1);
    return turn;
  };

  const noCpu = (): Each<Cpu> => mapEach(sides, () => ({ containerdMs: 0, cridMs: 0 }));
  const plus = (sum: Each<Cpu>, more: Each<Cpu>): Each<Cpu> =>
    mapEach(sides, (side) => sumOf(of(sum, side), of(more, side), 1));

  const entryOf = (operation: string): Measured => {
    const entry = measured.get(operation) ?? {
      ...{ operation, samples: mapEach(sides, () => []), pairs: [], cpu: noCpu() },
    };
    measured.set(operation, entry);
    return entry;
  };

  const add = (operation: string, times: Each<readonly number[]>): void => {
    const entry = entryOf(operation);
    mapEach(sides, (side) => of(entry.samples, side).push(...of(times, side)));
    entry.pairs.push(mapEach(times, median));
  };

  const addCpu = (operation: string, outcomes: Each<{ cpu: Cpu }>): void => {
    const entry = entryOf(operation);
    entry.cpu = plus(
      entry.cpu,
      mapEach(outcomes, ({ cpu }) => cpu),
    );
  };

  return {
    measured,
    cpu: () => [...measured.values()].map(({ cpu }) => cpu).reduce(plus, noCpu()),
    adopt: (other) => {
      for (const [name, entry] of other.measured) measured.set(name, entry);
    },
    async pair(operation, call, { kept = true, settleMs = SETTLE_MS } = {}) {
      const outcomes = await onEach(sides, (side) => inCall(operation, side, call, settleMs), turnOf(operation));
      if (kept) {
        add(
          operation,
          mapEach(outcomes, ({ ms }) => [ms]),
        );
        addCpu(operation, outcomes);
      }
      return mapEach(outcomes, ({ value }) => value);
    },
    async round(name, work, { kept = true, settleMs = SETTLE_MS } = {}) {
      const outcomes = await onEach(sides, (side) => inCall(name, side, work, settleMs), turnOf(name));
      if (!kept) return;
      for (const operation of outcomes.reference.value.keys()) {
        add(
          operation,
          mapEach(outcomes, ({ value }) => value.get(operation) ?? []),
        );
      }
      addCpu(name, outcomes);
    },
  };
}

const sumOf = (a: Cpu, b: Cpu, sign: 1 | -1): Cpu => ({
  containerdMs: a.containerdMs + sign * b.containerdMs,
  cridMs: a.cridMs + sign * b.cridMs,
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
