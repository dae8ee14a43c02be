import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants, shimsOf } from '../../tools/stack/leftovers.js';
import { until } from '../../tools/stack/wait.js';
import { memory } from '../bench/processes.js';
import { runningOperations } from '../harness/operations.js';
import type { Crid } from '../harness/crid.js';
import type { ExecWatch } from '../harness/exec-watch.js';
import { leaks } from '../harness/leaks.js';
import type { TestStack } from '../harness/test-stack.js';
import { SHIM_DESCRIPTORS, type Sample } from './samples.js';

const REST_WITHIN_MS = 60_000;
/** A shim closes unreferenced files when Go collects its garbage, at the latest every 30 s. */
const COLLECTED_WITHIN_MS = 35_000;
const COLLECTED_SLACK = 2;

export interface Looker {
  readonly stack: TestStack;
  readonly crid: Crid;
  readonly watch: ExecWatch;
  /** Collects crid's garbage and returns the used heap (MiB). */
  readonly heap: () => Promise<number>;
  /** The pid of containerd, if it belongs to this test. */
  readonly containerdPid: number | undefined;
  /** The lowest number of descriptors seen in the shims. */
  shimDescriptors: number;
}

/** Counts the shims' descriptors for the first time. */
export async function createLooker(of: Omit<Looker, 'shimDescriptors'>): Promise<Looker> {
  return { ...of, shimDescriptors: sumOf(await shimPids(of.stack), descriptorCount) };
}

/**
 * Waits until nothing is running, and takes a sample. With `collected` it also waits until the shims have collected
 * their garbage, so that any descriptor that remains is leaked.
 */
export async function look(looker: Looker, done: number, collected = false): Promise<Sample> {
  const { stack, crid, watch, heap, containerdPid } = looker;
  await until('crid is at rest', REST_WITHIN_MS, async () => {
    const running = await runningOperations(crid.runtime);
    return running.length === 0 ? true : undefined;
  });
  const shims = await shimPids(stack);
  if (collected) await collection(shims, looker.shimDescriptors + COLLECTED_SLACK);
  const shimDescriptors = sumOf(shims, descriptorCount);
  looker.shimDescriptors = Math.min(looker.shimDescriptors, shimDescriptors);
  const heapMiB = await heap();
  const ours = containerdPid === undefined ? [] : [containerdPid];
  return {
    done,
    counts: {
      'descriptors of crid': descriptorCount(crid.pid()),
      [SHIM_DESCRIPTORS]: shimDescriptors,
      'descriptors of containerd': sumOf(ours, descriptorCount),
      'threads of crid': threadCount(crid.pid()),
      'processes below shims': (await Promise.all(shims.map(descendants))).flat().length,
      'exec ids': (await watch.left()).length,
      FIFOs: (await leaks(stack)).fifo.length,
    },
    heapMiB: { 'heap of crid': heapMiB },
    memoryMiB: {
      'RSS of crid': memory(crid.pid()).rssMiB,
      'RSS of shims': sumOf(shims, (pid) => memory(pid).rssMiB),
      'RSS of containerd': sumOf(ours, (pid) => memory(pid).rssMiB),
    },
  };
}

const shimPids = async (stack: TestStack): Promise<number[]> =>
  (await shimsOf(stack.containerd.socket)).map(({ pid }) => pid);

async function collection(shims: readonly number[], most: number): Promise<void> {
  const endMs = Date.now() + COLLECTED_WITHIN_MS;
  while (sumOf(shims, descriptorCount) > most && Date.now() < endMs) await sleep(200);
}

const sumOf = (pids: readonly number[], what: (pid: number) => number): number =>
  pids.reduce((sum, pid) => sum + what(pid), 0);
const descriptorCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const threadCount = (pid: number): number => readdirSync(`/proc/${pid}/task`).length;
