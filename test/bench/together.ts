import { setTimeout as sleep } from 'node:timers/promises';
import { createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import { countBusy } from './machine.js';
import { cpuMs } from './processes.js';
import { mapEach, of, type Side } from './side.js';

/** The work of a server after its last response also counts as its CPU time. */
const TAIL_MS = 500;

/**
 * Starts `pods` pods at once. Measures the time of each, the time until all run, the CPU time of that, and the time
 * until all are removed. A batch takes as long as `roundsPerBatch` rounds of other parts.
 */
export function together(pods: number, roundsPerBatch: number): Part {
  const names = namesOf(pods);
  return {
    name: `together-${pods}`,
    operations: Object.values(names),
    async run(bench) {
      const batches = Math.max(2, Math.round(bench.rounds / roundsPerBatch));
      for (let batch = -1; batch < batches; batch++) await oneBatch(bench, pods, names, batch >= 0);
    },
  };
}

const namesOf = (pods: number) => ({
  each: `pod start (${pods} at once)`,
  started: `all ${pods} started`,
  machine: `all ${pods} started: CPU of the machine`,
  servers: `all ${pods} started: CPU of the servers`,
  removed: `all ${pods} stopped and removed`,
});

async function oneBatch(bench: Bench, pods: number, names: ReturnType<typeof namesOf>, kept: boolean): Promise<void> {
  const ids = mapEach(bench.sides, () => [] as string[]);
  await bench.recorder.round(
    names.started,
    async (side) => {
      const [machine, servers] = [countBusy(bench.baseline), countServers(bench, side)];
      const startedMs = performance.now();
      const sinceStart = (): number => performance.now() - startedMs;
      const eachMs = await Promise.all(
        Array.from({ length: pods }, async () => {
          of(ids, side).push(await startPod(bench, side));
          return sinceStart();
        }),
      );
      const allMs = sinceStart();
      await sleep(TAIL_MS);
      return new Map([
        [names.each, eachMs],
        [names.started, [allMs]],
        [names.machine, [machine()]],
        [names.servers, [servers()]],
      ]);
    },
    { kept },
  );
  await bench.recorder.pair(
    names.removed,
    async (side) => {
      await Promise.all(of(ids, side).map((id) => removePod(side, id)));
    },
    { kept },
  );
}

/** containerd also works for crid. */
function countServers({ servers }: Bench, { pid }: Side): () => number {
  const totalMs = (): number => cpuMs(servers.containerdPid) + (pid === undefined ? 0 : cpuMs(pid));
  const beforeMs = totalMs();
  return () => totalMs() - beforeMs;
}

async function startPod(bench: Bench, side: Side): Promise<string> {
  const pod = await runPod(bench, side);
  const id = await createContainer(bench, side, pod, 'main');
  await side.runtime.startContainer({ container_id: id });
  return pod.id;
}
