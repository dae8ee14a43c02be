import { LISTS_AND_STATS, sized } from './growth/growth.js';
import { READS } from './reads.js';
import type { OperationResult, Results } from './results.js';

/** A limit of the ratio to containerd's plugin: of medians in one run. */
export interface Goal {
  readonly what: string;
  /** Each of them is to be within the limit. */
  readonly operations: readonly string[];
  readonly pause: number;
  /** For pods without a pause process; unset where it is the same work. */
  readonly pinned?: number;
}

/** The number of containers on a full node. */
const FULL = 1_000;

export const GOALS: readonly Goal[] = [
  { what: 'RunPodSandbox', operations: ['RunPodSandbox'], pause: 0.85, pinned: 0.6 },
  { what: 'pod start (run, create, start)', operations: ['pod start'], pause: 0.9, pinned: 0.75 },
  { what: 'ten pods at once, started', operations: ['all 10 started'], pause: 1, pinned: 0.8 },
  { what: 'ten at once, stopped and removed', operations: ['all 10 stopped and removed'], pause: 0.7, pinned: 0.6 },
  { what: 'fifty at once, started', operations: ['all 50 started'], pause: 1, pinned: 0.8 },
  { what: 'fifty at once, stopped and removed', operations: ['all 50 stopped and removed'], pause: 0.9, pinned: 0.8 },
  {
    what: "CPU of the machine for fifty pods' start",
    operations: ['all 50 started: CPU of the machine'],
    pause: 1.05,
    pinned: 0.75,
  },
  { what: 'StopPodSandbox', operations: ['StopPodSandbox'], pause: 0.8, pinned: 0.75 },
  { what: 'CreateContainer', operations: ['CreateContainer'], pause: 1.1, pinned: 1.1 },
  { what: 'StartContainer', operations: ['StartContainer'], pause: 1.05 },
  { what: 'StopContainer and RemoveContainer', operations: ['container end'], pause: 0.9, pinned: 0.9 },
  { what: 'ExecSync', operations: ['ExecSync'], pause: 1 },
  { what: 'PullImage, warm', operations: ['PullImage (warm)'], pause: 1.2 },
  { what: 'RemoveImage', operations: ['RemoveImage'], pause: 1.2 },
  { what: 'plain reads', operations: READS, pause: 1.15 },
  {
    what: `lists and statistics of ${FULL}`,
    operations: LISTS_AND_STATS.map((operation) => sized(operation, FULL)),
    pause: 1,
  },
];

/** The limit of crid's resident memory after the benchmark. */
export const MEMORY_GOAL_MIB = 110;

/** A goal with its operation; with several, the one with the highest ratio. */
export interface Outcome {
  readonly goal: Goal;
  readonly worst: OperationResult;
  readonly candidate: Verdict;
  readonly variant?: Verdict;
}

export interface Verdict {
  readonly ratio: number;
  /** Undefined without a goal for pods of this kind. */
  readonly limit: number | undefined;
}

/** A goal is met by the value that is printed, with so many digits. */
export const isMet = (value: number, limit: number, digits: number): boolean => Number(value.toFixed(digits)) <= limit;

/** Returns the goals of which every operation was measured: a part of them says nothing about a goal. */
export function outcomes(operations: Results['operations'], goals = GOALS): Outcome[] {
  return goals.flatMap((goal) => {
    const measured = operations.filter(({ operation }) => goal.operations.includes(operation));
    const [worst] = [...measured].sort((a, b) => b.sides.candidate.ratio - a.sides.candidate.ratio);
    if (!worst || measured.length < goal.operations.length) return [];
    const variants = measured.flatMap(({ sides: { variant } }) => (variant ? [variant.ratio] : []));
    return [
      {
        ...{ goal, worst },
        candidate: { ratio: worst.sides.candidate.ratio, limit: goal.pause },
        ...(variants.length > 0 && { variant: { ratio: Math.max(...variants), limit: goal.pinned } }),
      },
    ];
  });
}
