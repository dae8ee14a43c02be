import { median } from '../bench/statistics.js';

/** The resources of an idle node after a number of repetitions. */
export interface Sample {
  readonly done: number;
  readonly counts: Readonly<Record<string, number>>;
  /** Used heap right after a garbage collection. */
  readonly heapMiB: Readonly<Record<string, number>>;
  /** Resident size. */
  readonly memoryMiB: Readonly<Record<string, number>>;
}

export const SHIM_DESCRIPTORS = 'descriptors of shims';
/** The number of samples in a soak, including the one at its beginning. */
export const SAMPLES = 20;
/** The first samples are left out, because buffers and caches grow once. */
const WARM_UP_SAMPLES = 5;
const COUNT_SLACK = 2;
const MEMORY_SLACK = 1.1;
const HEAP_SLACK_MIB = 2;
/** The amount of memory that the allocator keeps after responses of 16 MiB varies between samples. */
const MEMORY_SLACK_MIB = 32;

/** Whether the sample with this index is compared. */
export function isCompared(index: number): boolean {
  const third = thirdOf(SAMPLES - WARM_UP_SAMPLES);
  return index >= WARM_UP_SAMPLES && (index < WARM_UP_SAMPLES + third || index >= SAMPLES - third);
}

/** Whether the sample with this index is the first or the last compared one. */
export const isEnd = (index: number): boolean => index === WARM_UP_SAMPLES || index === SAMPLES - 1;

/**
 * Describes what has grown; empty if everything is flat. The samples after the warm-up are cut into three parts, and
 * the medians of the first and the last part are compared. For the shims' descriptors only the first and the last
 * sample are compared, because only these are sure to have waited for a garbage collection. The slack is 2 for counts,
 * 2 MiB for heaps, and 10 % and `memorySlackMiB` (32 MiB by default) for resident memory.
 */
export function grown(samples: readonly Sample[], memorySlackMiB = MEMORY_SLACK_MIB): string[] {
  const kept = samples.slice(WARM_UP_SAMPLES);
  const third = thirdOf(kept.length);
  if (third === 0) throw new Error(`${samples.length} samples are too few to say anything`);
  const [first, last] = [kept.slice(0, third), kept.slice(-third)];
  const compare = (
    of: (sample: Sample) => Readonly<Record<string, number>>,
    most: (value: number) => number,
  ): string[] =>
    Object.keys(of(samples[0]!)).flatMap((name) => {
      const parts = name === SHIM_DESCRIPTORS ? [first.slice(0, 1), last.slice(-1)] : [first, last];
      const [before, after] = parts.map((part) => median(part.map((sample) => of(sample)[name] ?? 0))) as [
        number,
        number,
      ];
      return after > most(before) ? [`${name}: ${before.toFixed(1)} -> ${after.toFixed(1)}`] : [];
    });
  return [
    ...compare(
      ({ counts }) => counts,
      (value) => value + COUNT_SLACK,
    ),
    ...compare(
      ({ heapMiB }) => heapMiB,
      (value) => value + HEAP_SLACK_MIB,
    ),
    ...compare(
      ({ memoryMiB }) => memoryMiB,
      (value) => value * MEMORY_SLACK + memorySlackMiB,
    ),
  ];
}

const thirdOf = (kept: number): number => Math.floor(kept / 3);
