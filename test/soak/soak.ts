import { look, type Looker } from './look.js';
import type { SoakPart } from './parts.js';
import { grown, isCompared, SAMPLES, type Sample } from './samples.js';

const AT_ONCE = 8;

export interface SoakResult {
  readonly name: string;
  readonly count: number;
  readonly durationS: number;
  readonly samples: readonly Sample[];
  /** Descriptions of everything that has grown. */
  readonly grown: readonly string[];
}

/** Repeats a part `count` times, eight at once, and takes samples in between. */
export async function soak(
  looker: Looker,
  part: SoakPart,
  count: number,
  {
    memorySlackMiB,
    waits = isCompared,
  }: {
    readonly memorySlackMiB?: number;
    /** Whether the sample with this number waits for garbage collections in the shims. */
    readonly waits?: (sample: number) => boolean;
  } = {},
): Promise<SoakResult> {
  const startedMs = performance.now();
  const samples: Sample[] = [await look(looker, 0)];
  for (let sample = 1; sample < SAMPLES; sample++) {
    const [from, to] = [samples.at(-1)?.done ?? 0, Math.round((count * sample) / (SAMPLES - 1))];
    let next = from;
    const work = async (): Promise<void> => {
      while (next < to) await part.one(next++);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    samples.push(await look(looker, to, waits(sample)));
  }
  const durationS = Math.round((performance.now() - startedMs) / 1000);
  return { name: part.name, count, durationS, samples, grown: grown(samples, memorySlackMiB) };
}

/** Returns every fourth sample and the last one as a Markdown table. */
export function table({ name, count, durationS, samples }: SoakResult): string {
  const shown = samples.filter((_, index) => index % 4 === 0 || index === samples.length - 1);
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const names = (of: 'counts' | 'heapMiB' | 'memoryMiB'): string[] => Object.keys(samples[0]?.[of] ?? {});
  return [
    `${name}, ${count} in ${durationS} s`,
    '',
    row(['after', ...shown.map(({ done }) => String(done))]),
    row(['---', ...shown.map(() => '---:')]),
    ...names('counts').map((each) => row([each, ...shown.map(({ counts }) => String(counts[each]))])),
    ...(['heapMiB', 'memoryMiB'] as const).flatMap((of) =>
      names(of).map((each) => row([`${each}, MiB`, ...shown.map((sample) => (sample[of][each] ?? 0).toFixed(1))])),
    ),
  ].join('\n');
}
