import { createBench, createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import { cpuMs } from './processes.js';
import { all, mapEach, of, onEach, type Both, type Side } from './side.js';

const KEEP_CALLS = 200;
const CALLS_PER_BLOCK = 200;
const ROUNDS_PER_BLOCK = 5;

/**
 * Measures the CPU time of two more crids, without and with a record of the last calls (`crid.traced_calls`). They get
 * blocks of the same calls in turn.
 */
export const traced: Part = {
  name: 'traced',
  operations: ['traced'],
  async run(bench) {
    const start = (key: keyof Both<Side>, keep: number): Promise<Side> =>
      bench.servers.startCrid(key, `traced ${keep}`, { crid: { traced_calls: keep } });
    const sides = { reference: await start('reference', 0), candidate: await start('candidate', KEEP_CALLS) };
    const inner = createBench(bench.servers, { ...bench, sides });
    for (const side of all(sides)) await side.images.pullImage({ image: { image: bench.images.warm } });
    const pods = await onEach(sides, (side) => runPod(inner, side));
    const idle = await onEach(sides, async (side) => {
      const id = await createContainer(inner, side, of(pods, side), 'idle');
      await side.runtime.startContainer({ container_id: id });
      return id;
    });
    const pair = async (side: Side): Promise<void> => {
      const id = await createContainer(inner, side, of(pods, side), 'short');
      await side.runtime.removeContainer({ container_id: id });
    };
    const read = (side: Side) => side.runtime.containerStatus({ container_id: of(idle, side) });
    const exec = (side: Side) => side.runtime.execSync({ container_id: of(idle, side), cmd: ['true'] });
    await compare(inner, bench, 'CreateContainer and RemoveContainer', 2, pair);
    await compare(inner, bench, 'ExecSync', 1, exec);
    await compare(inner, bench, 'ContainerStatus, which is not recorded', 1, read);
    await onEach(sides, (side) => removePod(side, of(pods, side).id));
  },
};

async function compare(
  { sides, rounds }: Bench,
  { findings, step }: Bench,
  what: string,
  callsOfWork: number,
  work: (side: Side) => Promise<unknown>,
): Promise<void> {
  const blocks = Math.max(2, Math.round(rounds / ROUNDS_PER_BLOCK));
  const spentMs = mapEach(sides, () => [] as number[]);
  const oneBlock = async (side: Side): Promise<number> => {
    const beforeMs = cpuMs(side.pid!);
    for (let call = 0; call < CALLS_PER_BLOCK; call += callsOfWork) await work(side);
    return cpuMs(side.pid!) - beforeMs;
  };
  await step(`${what}: ${blocks} blocks of ${CALLS_PER_BLOCK} calls`, async () => {
    for (let block = -1; block < blocks; block++) {
      const costMs = await onEach(sides, oneBlock, block + 1);
      if (block >= 0) mapEach(sides, (side) => of(spentMs, side).push(of(costMs, side)));
    }
  });
  const calls = blocks * CALLS_PER_BLOCK;
  // Milliseconds per call are seconds per 1,000 calls.
  const perThousandS = (values: readonly number[]): number => values.reduce((sum, ms) => sum + ms, 0) / calls;
  findings.traced.push({
    ...{ what, calls },
    offS: perThousandS(spentMs.reference),
    onS: perThousandS(spentMs.candidate),
  });
}
