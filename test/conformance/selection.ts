import { IS_PINNED } from '../harness/sandboxer.js';

/** The selected specs: regular expressions over whole names, which begin with the suite's name. */
export interface Selection {
  readonly focus: readonly string[];
  readonly skip: readonly string[];
}

/** critest leaves benchmarks out by default; they need a separate option. */
const BENCHMARKS = 'benchmark';
const DIGEST = 'public image with digest should be pulled and removed';

/** With one process namespace for each container, as `own-pids.ts` makes them, there is none of the pod. */
const POD_PID = 'PodPID';
const ALWAYS = [DIGEST, ...(IS_PINNED ? [POD_PID] : [])];

const REASONS: Readonly<Record<string, string>> = {
  [BENCHMARKS]: 'a benchmark: it measures, and says nothing of conformance',
  [DIGEST]:
    'pulls an image by the digest that the original on the internet has, and the images here are of our own making',
  [POD_PID]: 'containers that share their processes have a pause container, also with CRID_SANDBOXER=pinned',
};

/** The patterns to skip. Without a focus, they include the spec that cannot pass here. */
export const skipped = ({ focus, skip }: Selection): readonly string[] =>
  focus.length > 0 ? skip : [...ALWAYS, ...skip];

/** Returns why a spec was not selected; undefined if it was. */
export function whyLeftOut(name: string, selection: Selection): string | undefined {
  const matches = (pattern: string): boolean => new RegExp(pattern).test(name);
  const skip = [BENCHMARKS, ...skipped(selection)].find(matches);
  if (skip !== undefined) return REASONS[skip] ?? `to be skipped: ${skip}`;
  if (selection.focus.length > 0 && !selection.focus.some(matches)) return 'not asked for';
  return undefined;
}
