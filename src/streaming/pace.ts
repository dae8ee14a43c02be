import { availableParallelism } from 'node:os';
import { runnableThreads } from '../host/runnable.js';

/** How fast the streams of one thread may go. */
export interface Pace {
  /** How many milliseconds to wait before more is read, now that so many bytes were passed on; 0: go on. */
  restMs(bytes: number): number;
}

const SAMPLE_MS = 10;
/** Once some thread had to wait for a processor, so long: what has made way leaves room behind that looks like plenty. */
const SHORT_FOR_MS = 100;
const BYTES_PER_MS = 16 * 1024;
/** A short message goes at once, and is made up for later. */
const SHORTEST_REST_MS = 2;
const LONGEST_REST_MS = 50;

/**
 * While calls of the CRI are under way and there is more to run than processors, the streams go at 16 MiB/s together:
 * each byte costs its process, the shim and the client more than this thread, whose low priority they do not share, and
 * they are what a pod that starts competes with.
 */
export function createPace(
  callsUnderWay: Int32Array,
  { processors = availableParallelism(), runnable = runnableThreads, nowMs = () => performance.now() } = {},
): Pace {
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
