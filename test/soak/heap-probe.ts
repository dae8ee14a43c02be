import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/**
 * `heap.ts` makes crid load this in each of its threads. On SIGUSR2, threads that run an event loop collect their
 * garbage and append the remaining size as a line to the file in `CRID_SOAK_HEAP`. The thread that copies blocks in
 * epoll_wait and does not respond.
 */

export interface HeapReport {
  /** The number of the SIGUSR2, from 1. */
  readonly round: number;
  /** The size of the heap and of buffers outside it. */
  readonly mib: number;
}

const file = process.env['CRID_SOAK_HEAP'] ?? '';
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function answer(round: number): void {
  collect();
  // Memory outside the heap that the first collection frees is counted as free only after the second.
  collect();
  const { heapUsed, external } = process.memoryUsage();
  const report: HeapReport = { round, mib: (heapUsed + external) / 2 ** 20 };
  appendFileSync(file, `${JSON.stringify(report)}\n`);
}

const rounds = new BroadcastChannel('crid-soak-heap');
if (isMainThread) {
  let round = 0;
  process.on('SIGUSR2', () => {
    rounds.postMessage(++round);
    answer(round);
  });
} else {
  rounds.onmessage = ({ data }) => answer(data as number);
}
rounds.unref();
