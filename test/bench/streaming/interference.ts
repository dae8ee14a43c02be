import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { createContainer, removePod, runPod } from '../bench.js';
import { of, type Both, type Side } from '../side.js';
import type { StreamingBench } from './streaming-bench.js';

/** Milliseconds of each call, on an idle server and under load. */
export interface Interference {
  readonly operation: string;
  readonly idle: Both<number[]>;
  readonly loaded: Both<number[]>;
}

const READS_PER_ROUND = 20;
const TRUNCATE_EVERY_MS = 250;
const SETTLE_MS = 1_000;

/**
 * Measures the duration of the control plane's calls while one container writes at full speed and an exec streams
 * without end.
 */
export async function interference(all: StreamingBench): Promise<Interference[]> {
  const names = ['Version', 'ListContainers', 'RunPodSandbox'];
  const results = names.map((operation) => ({
    operation,
    idle: { reference: [] as number[], candidate: [] as number[] },
    loaded: { reference: [] as number[], candidate: [] as number[] },
  }));
  for (const side of [all.bench.sides.reference, all.bench.sides.candidate]) {
    await measure(all, side, (index, ms) => void of(results[index]!.idle, side).push(ms));
    await underLoad(all, side, () => measure(all, side, (index, ms) => void of(results[index]!.loaded, side).push(ms)));
  }
  return results;
}

async function measure({ bench }: StreamingBench, side: Side, add: (index: number, ms: number) => void): Promise<void> {
  const timed = async <T>(index: number, call: () => Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const value = await call();
    add(index, performance.now() - startedMs);
    return value;
  };
  for (let round = 0; round < bench.rounds; round++) {
    for (let count = 0; count < READS_PER_ROUND; count++) {
      await timed(0, () => side.runtime.version({}));
      await timed(1, () => side.runtime.listContainers({}));
    }
    const pod = await timed(2, () => runPod(bench, side));
    await removePod(side, pod.id);
  }
}

async function underLoad(all: StreamingBench, side: Side, work: () => Promise<void>): Promise<void> {
  const { bench, pods, crictl, containers, folder } = all;
  const pod = of(pods, side);
  const id = await createContainer(bench, side, pod, 'writer', { command: ['yes', 'a line of the container'] });
  await side.runtime.startContainer({ container_id: id });
  const log = join(pod.config.log_directory ?? folder, 'writer', '0.log');
  // Without truncation this log would fill the disk.
  const truncating = setInterval(() => void truncate(log).catch(() => undefined), TRUNCATE_EVERY_MS);
  const child = of(crictl, side).start(['exec', of(containers, side), 'cat', '/dev/zero'], 'ignore');
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    await work();
    if (child.exitCode !== null) throw new Error(`crictl exec ended with ${child.exitCode}`);
  } finally {
    child.kill('SIGKILL');
    clearInterval(truncating);
    await side.runtime.removeContainer({ container_id: id });
  }
}
