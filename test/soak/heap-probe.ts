import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/**
 * `heap.ts` has crid load this in each of its threads: at a SIGUSR2 those that run an event loop collect their garbage,
 * and append what is left as a line to the file in `CRID_SOAK_HEAP`. The thread that copies sleeps in epoll_wait instead.
 */

export interface HeapReport {
  /** Which SIGUSR2, from 1. */
  readonly round: number;
  /** Of the heap and of buffers outside it. */
  readonly mib: number;
}

const file = process.env['CRID_SOAK_HEAP'] ?? '';
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function answer(round: number): void {
  collect();
  // What a first collection frees outside the heap is counted as free only by the next.
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
