/** Recent CPU usage in nanoseconds of CPU time per second, over one window, however often callers ask. */
export interface CpuRates {
  /**
   * Records a sample, read at `atNs` on the monotonic clock: a step of the wall clock does not change a rate. A sample
   * that comes less than a window after the last one is ignored.
   */
  observe(id: string, usageNs: bigint, atNs?: bigint): void;
  /**
   * Returns the rate over the last complete window. Without one, returns the rate since `startedAtNs` by the given
   * sample, or undefined if `startedAtNs` is not known.
   */
  nanoCores(id: string, now: { usageNs: bigint; atNs: bigint; startedAtNs?: bigint | undefined }): bigint | undefined;
  forget(id: string): void;
}

interface Sample {
  readonly usageNs: bigint;
  readonly atNs: bigint;
}

/** Factor of the window: a timer that fires slightly early still completes its window. */
const TOLERANCE = 0.9;

export function createCpuRates(windowMs: number): CpuRates {
  const windowNs = BigInt(Math.round(windowMs * TOLERANCE * 1e6));
  const samples = new Map<string, { readonly older: Sample | undefined; readonly newer: Sample }>();
  return {
    observe(id, usageNs, atNs = process.hrtime.bigint()) {
      const known = samples.get(id);
      if (known && atNs - known.newer.atNs < windowNs) return;
      samples.set(id, { older: known?.newer, newer: { usageNs, atNs } });
    },
    nanoCores(id, { usageNs, atNs, startedAtNs }) {
      const known = samples.get(id);
      if (known?.older) return rate(known.older, known.newer);
      return startedAtNs === undefined ? undefined : rate({ usageNs: 0n, atNs: startedAtNs }, { usageNs, atNs });
    },
    forget: (id) => void samples.delete(id),
  };
}

/** A counter that went backwards was reset. */
const rate = (from: Sample, to: Sample): bigint | undefined => {
  const elapsedNs = to.atNs - from.atNs;
  if (elapsedNs <= 0n) return undefined;
  return to.usageNs <= from.usageNs ? 0n : ((to.usageNs - from.usageNs) * 1_000_000_000n) / elapsedNs;
};
