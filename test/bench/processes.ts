import { readFileSync } from 'node:fs';
import type { Servers } from './servers.js';
import { mapEach, type Each } from './side.js';

/** The unit of CPU times in /proc: `USER_HZ` is 100 on all of Node's architectures. */
export const TICK_MS = 10;

/** The CPU time in milliseconds that a process and its threads have used, in steps of 10 (proc(5), stat). */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name, which may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

interface Memory {
  readonly rssMiB: number;
  /** The highest resident size so far. */
  readonly peakMiB: number;
}

export function memory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mebibytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return { rssMiB: mebibytes('VmRSS'), peakMiB: mebibytes('VmHWM') };
}

export interface ProcessResult extends Memory {
  readonly name: string;
  readonly cpuS: number;
}

/** The process of each side; for containerd's plugin that of containerd. */
export const processesOf = ({ containerdPid, sides }: Pick<Servers, 'containerdPid' | 'sides'>): Each<ProcessResult> =>
  mapEach(sides, ({ name, pid = containerdPid }) => ({ name, ...memory(pid), cpuS: cpuMs(pid) / 1000 }));
