import { getPriority, setPriority } from 'node:os';
import { readKernelFile } from '../files/kernel-files.js';

/**
 * Lowers the priority of this thread, so that other threads of this process run first when processors are scarce. On
 * Linux each thread has its own nice value (setpriority(2)), and 0 means the calling thread. Lowering the priority
 * needs no privilege.
 */
export function makeWayForOtherThreads(): void {
  try {
    setPriority(0, Math.min(getPriority(0) + NICE_STEP, NICEST));
  } catch {
    // A system call filter of the service may refuse this; crid then works too, only more slowly.
  }
}

/** A third of another thread's share of CPU. 10, a tenth, made CRI calls no faster (docs/streaming.md). */
const NICE_STEP = 5;
const NICEST = 19;

/**
 * Returns how many threads of this node run or wait for a processor, including the calling thread (proc_loadavg(5)).
 */
export function runnableThreads(): number {
  return Number.parseInt(readKernelFile('/proc/loadavg')?.split(' ')[3] ?? '', 10) || 0;
}
