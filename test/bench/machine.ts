import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { TICK_MS } from './processes.js';

/** The time in milliseconds that all processors were busy since the machine's start. */
export const machineBusyMs = (): number => busyMsOf(readFileSync('/proc/stat', 'utf8'));

/**
 * Sums user, nice, system, irq and softirq of the first line (proc_stat(5)). Time of guests is a part of user; stolen
 * time belongs to other machines.
 */
export function busyMsOf(stat: string): number {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1];
  if (line === undefined) throw new Error('/proc/stat has no line "cpu"');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(' ').map(Number);
  return (user + nice + system + irq + softirq) * TICK_MS;
}

/** Returns the number of processors that are busy while the benchmark waits. */
export async function baselineCpus(waitMs: number): Promise<number> {
  const [beforeMs, startedMs] = [machineBusyMs(), performance.now()];
  await sleep(waitMs);
  return (machineBusyMs() - beforeMs) / (performance.now() - startedMs);
}

/** Starts to count the machine's busy time. The returned function returns it in milliseconds, less the baseline. */
export function countBusy(baseline: number): () => number {
  const [beforeMs, startedMs] = [machineBusyMs(), performance.now()];
  return () => machineBusyMs() - beforeMs - baseline * (performance.now() - startedMs);
}
