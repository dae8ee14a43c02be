import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { until } from '../../tools/stack/wait.js';
import type { RunningPod } from '../harness/pod.js';

const LIMIT_MS = 300_000;
const NAME = 'counting';

/** Starts a container that writes a number into its log every 100 ms, from 0. Returns the container's id. */
export const runCounting = (pod: RunningPod): Promise<string> =>
  pod.run({ name: NAME, command: ['sh', '-c', 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done'] });

/** Asserts that the container still writes, and that the log contains every number once, in order. */
export async function assertCountsOn(pod: RunningPod): Promise<void> {
  const numbers = async (): Promise<number[]> =>
    (await readFile(pod.logPath(NAME), 'utf8'))
      .split('\n')
      .filter(Boolean)
      .map((line) => Number(line.split(' ')[3]));
  const so = (await numbers()).length;
  const all = await until('it writes on', LIMIT_MS, async () => {
    const found = await numbers();
    return found.length > so + 3 ? found : undefined;
  });
  assert.deepEqual(
    all,
    all.map((_, index) => index),
  );
}
