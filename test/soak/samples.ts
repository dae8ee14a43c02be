import { median } from '../bench/statistics.js';

/** What a node has, with nothing under way, after so many repetitions. */
export interface Sample {
  readonly done: number;
  readonly counts: Readonly<Record<string, number>>;
  /** What is in use of heaps whose garbage was just collected. */
  readonly heapMiB: Readonly<Record<string, number>>;
  /** Resident. */
  readonly memoryMiB: Readonly<Record<string, number>>;
}

export const SHIM_DESCRIPTORS = 'descriptors of shims';
/** How often a soak looks, at its beginning included. */
export const SAMPLES = 20;
/** Of those, so many are for buffers and caches that grow once. */
const WARM_UP_SAMPLES = 5;
const COUNT_SLACK = 2;
const MEMORY_SLACK = 1.1;
const HEAP_SLACK_MIB = 2;
/** What the allocator keeps after answers of 16 MiB is at one look more, at the next less. */
const MEMORY_SLACK_MIB = 32;

/** Whether the look of this number is one of those that are compared. */
export function isCompared(index: number): boolean {
  const third = thirdOf(SAMPLES - WARM_UP_SAMPLES);
  return index >= WARM_UP_SAMPLES && (index < WARM_UP_SAMPLES + third || index >= SAMPLES - third);
}

/** Whether it is the first or the last of those. */
export const isEnd = (index: number): boolean => index === WARM_UP_SAMPLES || index === SAMPLES - 1;

/**
 * What has grown, in words; nothing: all is flat. The samples after the warm-up are cut into three; of the first and the
 * last third the medians are compared, or their first and their last where only these are sure to have waited for a
 * collection. Counts may differ by 2, heaps by 2 MiB, what is resident by 10 % and 32 MiB, unless another slack is given.
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
