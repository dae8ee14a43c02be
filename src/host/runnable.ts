import { readKernelFile } from './cgroup-files.js';

/** How many threads of this node run or wait for a processor now, the calling one among them (proc_loadavg(5)). */
export function runnableThreads(): number {
  return Number.parseInt(readKernelFile('/proc/loadavg')?.split(' ')[3] ?? '', 10) || 0;
}
