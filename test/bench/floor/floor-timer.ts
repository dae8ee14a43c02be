import { median, percentile } from '../statistics.js';

/** A step that every CRI server needs, without one. */
export interface FloorRow {
  readonly step: string;
  readonly n: number;
  readonly medianMs: number;
  readonly p95Ms: number;
}

export interface FloorTimer {
  /** Times the step if the round is kept. Fails once the signal has aborted. */
  time<T>(step: string, work: () => Promise<T>): Promise<T>;
  /** Runs `oneRound` so often, and one more round first whose times are discarded. */
  rounds(count: number, oneRound: (round: number) => Promise<void>): Promise<void>;
  rows(): FloorRow[];
}

export function createFloorTimer(signal: AbortSignal): FloorTimer {
  const samples = new Map<string, number[]>();
  let kept = false;
  return {
    async time(step, work) {
      signal.throwIfAborted();
      const startedMs = performance.now();
      const value = await work();
      const ms = performance.now() - startedMs;
      if (kept) samples.set(step, [...(samples.get(step) ?? []), ms]);
      return value;
    },
    async rounds(count, oneRound) {
      for (let round = -1; round < count; round++) {
        kept = round >= 0;
        await oneRound(round);
      }
    },
    rows: () =>
      [...samples].map(([step, times]) => ({
        step,
        n: times.length,
        medianMs: median(times),
        p95Ms: percentile(times, 0.95),
      })),
  };
}
