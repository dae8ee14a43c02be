import { readdirSync } from 'node:fs';
import { descendants, shimsOf } from '../../tools/stack/leftovers.js';
import { until } from '../../tools/stack/wait.js';
import { memory } from '../bench/processes.js';
import { runningOperations } from '../harness/operations.js';
import type { Crid } from '../harness/crid.js';
import type { ExecWatch } from '../harness/exec-watch.js';
import { leaks } from '../harness/leaks.js';
import type { TestStack } from '../harness/test-stack.js';
import type { Sample } from './samples.js';

const REST_WITHIN_MS = 60_000;

export interface Looker {
  readonly stack: TestStack;
  readonly crid: Crid;
  readonly watch: ExecWatch;
  /** Of containerd, where it is ours to look at. */
  readonly containerdPid: number | undefined;
}

/** Waits until nothing is under way, and counts. */
export async function look({ stack, crid, watch, containerdPid }: Looker, done: number): Promise<Sample> {
  await until('crid is at rest', REST_WITHIN_MS, async () => {
    const running = await runningOperations(crid.runtime);
    return running.length === 0 ? true : undefined;
  });
  const shims = (await shimsOf(stack.containerd.socket)).map(({ pid }) => pid);
  const ours = containerdPid === undefined ? [] : [containerdPid];
  const of = (pids: readonly number[], what: (pid: number) => number): number =>
    pids.reduce((sum, pid) => sum + what(pid), 0);
  return {
    done,
    counts: {
      'descriptors of crid': descriptorCount(crid.pid()),
      'descriptors of shims': of(shims, descriptorCount),
      'descriptors of containerd': of(ours, descriptorCount),
      'threads of crid': threadCount(crid.pid()),
      'processes below shims': (await Promise.all(shims.map(descendants))).flat().length,
      'exec ids': (await watch.left()).length,
      FIFOs: (await leaks(stack)).fifo.length,
    },
    memoryMiB: {
      'RSS of crid': memory(crid.pid()).rssMiB,
      'RSS of shims': of(shims, (pid) => memory(pid).rssMiB),
      'RSS of containerd': of(ours, (pid) => memory(pid).rssMiB),
    },
  };
}

const descriptorCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const threadCount = (pid: number): number => readdirSync(`/proc/${pid}/task`).length;
