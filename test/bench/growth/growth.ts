import { setTimeout as sleep } from 'node:timers/promises';
import { removePod, type Bench, type Part } from '../bench.js';
import { fill, type Filled } from '../fill.js';
import { LIFE, oneLife } from '../lifecycle.js';
import { processesOf } from '../processes.js';
import { all, mapEach, of, onEach, type Side } from '../side.js';
import { answered, LISTS, READS, STATS, STREAMS, type Calls } from './calls.js';
import { cpuOf, likeKubelet, STATS_EVERY_MS } from './rhythm.js';

const WARM_UP_ROUNDS = 10;
const READS_PER_ROUND = 2;
const ROUNDS_PER_LIFE = 2;
const RHYTHM_S = 45;

/** The name of a call with so many containers on each side. */
export const sized = (operation: string, size: number): string => `${operation} (${size})`;
export const LISTS_AND_STATS = [...Object.keys(LISTS), ...Object.keys(STATS)];
export const GROWING = [...LISTS_AND_STATS, ...Object.keys(READS), ...LIFE];

/**
 * Makes the same calls with so many containers on each side, in ascending order. With the last number, measures also
 * the calls that only crid has, the CPU time at a kubelet's rhythm, and the memory.
 */
export const growth = (sizes: readonly number[]): Part => ({
  name: 'growth',
  isSlow: true,
  operations: sizes.flatMap((size) => GROWING.map((operation) => sized(operation, size))),
  async run(bench) {
    const filled = mapEach(bench.sides, (): Filled => ({ pods: [], containers: [] }));
    for (const size of sizes) {
      await bench.step(`${size} containers on each side`, async () => {
        await onEach(bench.sides, (side) => fill(bench, side, of(filled, side), size));
        // The plugin collects its statistics every ten seconds.
        await sleep(STATS_EVERY_MS);
      });
      await bench.step(`calls with ${size} containers`, () => measure(bench, (side) => of(filled, side), size));
    }
    await fullNode(bench);
    await bench.step(`remove the ${sizes.at(-1)} containers of each side`, () =>
      onEach(bench.sides, async (side) => {
        for (const pod of of(filled, side).pods) await removePod(side, pod.id);
      }),
    );
  },
});

async function measure(bench: Bench, filled: (side: Side) => Filled, size: number): Promise<void> {
  const { has } = await answered({ ...LISTS, ...STATS }, bench.sides.reference);
  const reads = Object.fromEntries(
    Object.entries(READS).map(([name, call]) => [name, (side: Side) => call(side, filled(side))]),
  );
  for (let round = -WARM_UP_ROUNDS; round < bench.rounds * READS_PER_ROUND; round++) {
    for (const [name, call] of Object.entries({ ...has, ...reads })) {
      await bench.recorder.pair(sized(name, size), call, { kept: round >= 0, settleMs: 0 });
    }
  }
  for (let round = -1; round < bench.rounds / ROUNDS_PER_LIFE; round++) {
    await oneLife(bench, round >= 0, (operation) => sized(operation, size));
  }
}

async function fullNode(bench: Bench): Promise<void> {
  const { servers, sides, findings } = bench;
  const { has, lacks } = await answered({ ...LISTS, ...STATS, ...STREAMS }, sides.reference);
  Object.assign(findings.onlyCrid, await timesOf(lacks, sides.candidate, bench.rounds * READS_PER_ROUND));
  await sleep(STATS_EVERY_MS);
  await bench.step(`${RHYTHM_S} s without a call`, async () => {
    findings.minutes.push({ what: 'no calls', ...(await cpuOf(servers, sides.candidate, RHYTHM_S)) });
  });
  await onEach(sides, (side) =>
    bench.step(`${RHYTHM_S} s at a kubelet's rhythm on ${side.name}`, async () => {
      const perMinute = await cpuOf(servers, side, RHYTHM_S, (signal) => likeKubelet(side, has, signal));
      findings.minutes.push({ what: `a kubelet's rhythm, on ${side.name}`, ...perMinute });
    }),
  );
  findings.fullNode.push(...all(processesOf(servers)));
}

async function timesOf(calls: Calls, side: Side, rounds: number): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(calls).map((name) => [name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const [name, call] of Object.entries(calls)) {
      const startedMs = performance.now();
      await call(side);
      if (round >= 0) times[name]!.push(performance.now() - startedMs);
    }
  }
  return times;
}
