import { openSync, readSync } from 'node:fs';

const text = Buffer.alloc(128);
let loadavg: number | undefined;

/** How many threads of this node run or wait for a processor now, the calling one among them (proc_loadavg(5)). */
export function runnableThreads(): number {
  loadavg ??= openSync('/proc/loadavg', 'r');
  const length = readSync(loadavg, text, 0, text.length, 0);
  return Number.parseInt(text.toString('latin1', 0, length).split(' ')[3] ?? '', 10) || 0;
}
