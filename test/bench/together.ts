import { createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import type { Side } from './side.js';

const PODS = 10;
/** A batch takes as long as five rounds of any other part. */
const ROUNDS_PER_BATCH = 5;
const ONE = `pod start (${PODS} at once)`;
const ALL = `all ${PODS} started`;
const REMOVED = `all ${PODS} stopped and removed`;

/** Starts ten pods at once. Measures the time of each, the time until all run, and the time until all are removed. */
export const together: Part = {
  name: 'together',
  operations: [ONE, ALL, REMOVED],
  async run(bench) {
    const batches = Math.max(2, Math.round(bench.rounds / ROUNDS_PER_BATCH));
    for (let batch = -1; batch < batches; batch++) await oneBatch(bench, batch >= 0);
  },
};

async function oneBatch(bench: Bench, kept: boolean): Promise<void> {
  const pods = { reference: [] as string[], candidate: [] as string[] };
  await bench.recorder.round(
    ALL,
    async (side) => {
      const startedMs = performance.now();
      const eachMs = await Promise.all(
        Array.from({ length: PODS }, async () => {
          pods[side.key].push(await startPod(bench, side));
          return performance.now() - startedMs;
        }),
      );
      return new Map([
        [ONE, eachMs],
        [ALL, [performance.now() - startedMs]],
      ]);
    },
    { kept },
  );
  await bench.recorder.pair(
    REMOVED,
    async (side) => {
      await Promise.all(pods[side.key].map((id) => removePod(side, id)));
    },
    { kept },
  );
}

async function startPod(bench: Bench, side: Side): Promise<string> {
  const pod = await runPod(bench, side);
  const id = await createContainer(bench, side, pod, 'main');
  await side.runtime.startContainer({ container_id: id });
  return pod.id;
}
