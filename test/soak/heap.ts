import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../tools/stack/wait.js';
import type { Crid, CridOptions } from '../harness/crid.js';
import type { HeapReport } from './heap-probe.js';

const PROBE = new URL('./heap-probe.js', import.meta.url).href;
/** The main thread and the streaming thread report. */
const ANSWERS = 2;
const ANSWER_WITHIN_MS = 30_000;

const reportIn = (dir: string): string => join(dir, 'crid-heap.jsonl');

/** Options to start a crid that reports its heap. `dir` is the stack's folder. */
export const heapOptions = (dir: string): Pick<CridOptions, 'env'> => ({
  env: { NODE_OPTIONS: `--import=${PROBE}`, CRID_SOAK_HEAP: reportIn(dir) },
});

/**
 * Returns a function that measures crid's used heap after a garbage collection, in MiB. crid must have been started
 * with `heapOptions`, must not have been restarted, and must have no other such function.
 */
export function heapOf(crid: Pick<Crid, 'pid'>, dir: string): () => Promise<number> {
  let rounds = 0;
  return async () => {
    const asked = ++rounds;
    process.kill(crid.pid(), 'SIGUSR2');
    return until(`${ANSWERS} threads of crid tell their heap`, ANSWER_WITHIN_MS, async () => {
      const lines = (await readFile(reportIn(dir), 'utf8')).trimEnd().split('\n');
      const answers = lines.map((line) => JSON.parse(line) as HeapReport).filter(({ round }) => round === asked);
      return answers.length === ANSWERS ? answers.reduce((sum, { mib }) => sum + mib, 0) : undefined;
    });
  };
}
