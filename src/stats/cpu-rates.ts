/** How much CPU was used of late: nanoseconds of CPU time in a second, over one window, whoever asks and how often. */
export interface CpuRates {
  /**
   * Notes a sample, read at `atNs` on the monotonic clock: a step of the wall clock changes no rate. A sample that comes
   * sooner than a window after the last is passed over.
   */
  observe(id: string, usageNs: bigint, atNs?: bigint): void;
  /**
   * Over the last window that is complete. Where there is none yet: since `startedAtNs`, with the sample at hand, and
   * undefined when that is not known either.
   */
  nanoCores(id: string, now: { usageNs: bigint; atNs: bigint; startedAtNs?: bigint | undefined }): bigint | undefined;
  forget(id: string): void;
}

interface Sample {
  readonly usageNs: bigint;
  readonly atNs: bigint;
}

/** A timer that fires a little early still closes its window. */
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

/** An account that went backwards began anew. */
const rate = (from: Sample, to: Sample): bigint | undefined => {
  const elapsedNs = to.atNs - from.atNs;
  if (elapsedNs <= 0n) return undefined;
  return to.usageNs <= from.usageNs ? 0n : ((to.usageNs - from.usageNs) * 1_000_000_000n) / elapsedNs;
};
