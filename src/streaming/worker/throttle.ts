import { availableParallelism } from 'node:os';
import { runnableThreads } from '../../host/process/threads.js';

/** The throttle of all streams of one thread. */
export interface Throttle {
  /**
   * Accounts for `bytes` that were passed on. Returns how many milliseconds to pause before the next read; 0 is no
   * pause.
   */
  restMs(bytes: number): number;
}

const SAMPLE_MS = 10;
/** Throttle for this long after the CPU was last oversubscribed: throttling itself makes the CPU look idle. */
const SHORT_FOR_MS = 100;
const BYTES_PER_MS = 16 * 1024;
/** Shorter pauses are carried over to the next message, so that a short message is not delayed. */
const SHORTEST_REST_MS = 2;
const LONGEST_REST_MS = 50;

/**
 * Limits all streams together to 16 MiB/s while CRI calls are in progress and the CPUs are oversubscribed. Lowering
 * this thread's priority is not enough: each byte costs more CPU time in its process, its shim and its client than
 * here, and those compete with a pod that starts.
 */
export function createThrottle(
  callsUnderWay: Int32Array,
  { processors = availableParallelism(), runnable = runnableThreads, nowMs = () => performance.now() } = {},
): Throttle {
  let sampledMs = -Infinity;
  let shortUntilMs = -Infinity;
  let freeMs = 0;
  return {
    restMs(bytes) {
      if (Atomics.load(callsUnderWay, 0) === 0) return 0;
      const now = nowMs();
      if (now >= sampledMs + SAMPLE_MS) {
        sampledMs = now;
        if (runnable() > processors) shortUntilMs = now + SHORT_FOR_MS;
      }
      if (now >= shortUntilMs) return 0;
      freeMs = Math.max(now, freeMs) + bytes / BYTES_PER_MS;
      const restMs = freeMs - now;
      return restMs < SHORTEST_REST_MS ? 0 : Math.min(LONGEST_REST_MS, restMs);
    },
  };
}
