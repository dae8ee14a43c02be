/** Which specs are asked for: regular expressions over whole names, which begin with the suite's own. */
export interface Selection {
  readonly focus: readonly string[];
  readonly skip: readonly string[];
}

/** critest leaves them out by itself: they need a switch of their own. */
const BENCHMARKS = 'benchmark';
const DIGEST = 'public image with digest should be pulled and removed';

const REASONS: Readonly<Record<string, string>> = {
  [BENCHMARKS]: 'a benchmark: it measures, and says nothing of conformance',
  [DIGEST]:
    'pulls an image by the digest that the original on the internet has, and the images here are of our own making',
};

/** What the suite is told to skip: unless there is a focus, what cannot pass here as well. */
export const skipped = ({ focus, skip }: Selection): readonly string[] => (focus.length > 0 ? skip : [DIGEST, ...skip]);

/** Why a spec was not to run; undefined when it was. */
export function whyLeftOut(name: string, selection: Selection): string | undefined {
  const matches = (pattern: string): boolean => new RegExp(pattern).test(name);
  const skip = [BENCHMARKS, ...skipped(selection)].find(matches);
  if (skip !== undefined) return REASONS[skip] ?? `to be skipped: ${skip}`;
  if (selection.focus.length > 0 && !selection.focus.some(matches)) return 'not asked for';
  return undefined;
}
