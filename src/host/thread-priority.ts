import { getPriority, setPriority } from 'node:os';

/**
 * Lets the other threads of this process go first where processors are short. To Linux a nice value is a thread's own
 * (setpriority(2)), and 0 names the calling thread; to lower it needs no privilege.
 */
export function makeWayForOtherThreads(): void {
  try {
    setPriority(0, Math.min(getPriority(0) + NICE_STEP, NICEST));
  } catch {
    // A service's filter of system calls may refuse it; all then works as well, only not as fast.
  }
}

/** A third of another thread's share. 10, a tenth, gained a call of the CRI nothing more (docs/streaming.md). */
const NICE_STEP = 5;
const NICEST = 19;
