import PQueue from 'p-queue';
import { createContainer, runPod, type Bench, type RunningPod } from './bench.js';
import type { Side } from './side.js';

const AT_ONCE = 4;
const CONTAINERS_PER_POD = 40;
const RUNNING_PER_POD = 4;

/** The pods of one side, in the order of their creation. */
export interface Filled {
  readonly pods: RunningPod[];
  readonly containers: string[];
}

/**
 * Adds containers until there are `count`, in pods of 40. The first four of each pod run, the others are records with a
 * snapshot.
 */
export async function fill(bench: Bench, side: Side, { pods, containers }: Filled, count: number): Promise<void> {
  const queue = new PQueue({ concurrency: AT_ONCE });
  const missing = Math.ceil(count / CONTAINERS_PER_POD) - pods.length;
  pods.push(...(await Promise.all(Array.from({ length: missing }, () => queue.add(() => runPod(bench, side))))));
  const indices = Array.from({ length: count - containers.length }, (_, index) => containers.length + index);
  const made = await Promise.all(
    indices.map((index) =>
      queue.add(async () => {
        const pod = pods[Math.floor(index / CONTAINERS_PER_POD)]!;
        const id = await createContainer(bench, side, pod, `c${index}`);
        if (isRunning(index)) await side.runtime.startContainer({ container_id: id });
        return id;
      }),
    ),
  );
  containers.push(...made);
}

/** The number of containers that run among the first `count`. */
export const runningOf = (count: number): number =>
  Array.from({ length: count }, (_, index) => index).filter(isRunning).length;

const isRunning = (index: number): boolean => index % CONTAINERS_PER_POD < RUNNING_PER_POD;
