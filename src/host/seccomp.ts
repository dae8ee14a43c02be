import { readFileSync } from 'node:fs';

/** Whether the kernel can filter system calls: it shows a `Seccomp:` line for every process then. */
export const seccompAvailable = (): boolean => /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'));
