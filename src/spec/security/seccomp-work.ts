import { CriError } from '../../base/errors.js';

/**
 * The limit on the steps of one combination of two filters, over all system calls: a step handles one pair of rules, of
 * regions or of ranges. The combination blocks the event loop, and small profiles can need any number of steps for a
 * small result. The default profile with another list of allowed calls takes about 3000.
 */
const MAX_STEPS = 50_000;

/** The steps that one combination of two filters has taken. */
export interface Work {
  /** FAILED_PRECONDITION above the limit. */
  spend(steps: number): void;
  spent(): number;
}

export function createWork(): Work {
  let total = 0;
  return {
    spend(steps) {
      total += steps;
      if (total > MAX_STEPS) throw inexpressible(`these conditions in ${MAX_STEPS} steps`);
    },
    spent: () => total,
  };
}

/** FAILED_PRECONDITION: one filter cannot do what the two filters do. */
export const inexpressible = (what: string): CriError =>
  new CriError('FAILED_PRECONDITION', `one filter cannot express ${what}`);
