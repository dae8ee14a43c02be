import { readKernelFile } from '../files/kernel-files.js';

/**
 * Returns how many threads of this node run or wait for a processor, including the calling thread (proc_loadavg(5)).
 */
export function runnableThreads(): number {
  return Number.parseInt(readKernelFile('/proc/loadavg')?.split(' ')[3] ?? '', 10) || 0;
}
