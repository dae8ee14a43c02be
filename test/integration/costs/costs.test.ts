import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../../src/base/log.js';
import { createContainerd } from '../../../src/containerd/client.js';
import { isAtLeast } from '../../../src/runtime/containerd-version.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { startCrid, type Crid, type CridOptions } from '../../harness/crid.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { pullImage, removeAllPods } from '../../harness/pod.js';
import { limitMs } from '../../harness/slowness.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { callMeter, heapMeter, heapMeterEnv, installMissing, kernelMeter, type Counts, type Meter } from './meters.js';
import { oneLife } from './operations.js';

/**
 * The committed table `costs.json` says how much each CRI call costs. After an intended change, `CRID_WRITE_COSTS=1`
 * writes it anew.
 */

/** The cost of one CRI call, with the work that follows its response. `calls`: to containerd, by method. */
interface Cost {
  readonly calls: Counts;
  readonly processes: number;
  readonly fsyncs: number;
  readonly systemCalls: number;
  readonly kilobytes: number;
}
type Table = Readonly<Record<string, Cost>>;

const TABLE = join(projectRoot, 'test', 'integration', 'costs', 'costs.json');
const ROUNDS = 3;
/** For the work that follows an answer, such as the removal of an exec. */
const SETTLE_MS = 400;
/** How far system calls and bytes may be above the table, and below before the table has to follow. */
const ABOVE = 1.35;
const BELOW = 0.6;
/** Small counts differ by a timer or a read more. */
const SYSTEM_CALLS_APART = 12;
const KILOBYTES_APART = 60;

let stack: TestStack;
before(async () => {
  stack = await testStack();
  await installMissing();
});

test('each call costs what the table says', async (t) => {
  const version = await containerdVersion();
  if (!isAtLeast(version, 2, 2)) return t.skip(`the table is for containerd 2.2 and newer; this is ${version}`);
  const baseline = await leaks(stack);
  const calls = await measured({}, (crid) => Promise.resolve([callMeter(crid)]));
  const file = join(stack.dir, 'allocated');
  const kernelAndHeap = await measured(
    { config: { crid: { log_level: 'info' } }, env: heapMeterEnv(file) },
    async (crid) => [heapMeter(crid, file), await kernelMeter(crid.pid(), crid.dir)],
  );
  await assertLeavesNothing(stack, baseline);
  const found: Table = Object.fromEntries(
    Object.entries(calls).map(([name, counts]) => {
      const { processes = 0, fsyncs = 0, systemCalls = 0, bytes = 0 } = kernelAndHeap[name] ?? {};
      const whole = {
        processes: Math.round(processes),
        fsyncs: Math.round(fsyncs),
        systemCalls: Math.round(systemCalls),
      };
      return [name, { calls: counts, ...whole, kilobytes: Math.round(bytes / 1000) }];
    }),
  );
  if (process.env['CRID_WRITE_COSTS']) await writeFile(TABLE, `${JSON.stringify(found, null, 2)}\n`);
  const table = JSON.parse(await readFile(TABLE, 'utf8')) as Table;
  assert.deepEqual(exactPart(found, table), exactPart(table));
  assert.deepEqual(farApart(found, table), []);
});

async function containerdVersion(): Promise<string> {
  const address = stack.containerd.socket;
  const containerd = createContainerd({ address, namespace: 'k8s.io', log: createLogger('warn') });
  try {
    return (await containerd.introspection.version()).version;
  } finally {
    containerd.close();
  }
}

/** Returns the median cost of each call over the rounds. */
async function measured(
  options: CridOptions,
  metersOf: (crid: Crid) => Promise<readonly Meter[]>,
): Promise<Record<string, Counts>> {
  const crid = await startCrid(stack, options);
  const costs = new Map<string, Counts[]>();
  let meters: readonly Meter[] = [];
  try {
    await crid.settled();
    await pullImage(crid);
    // The first life also starts threads and compiles.
    await oneLife(crid, stack, (_name, call) => call().then(() => undefined));
    meters = await metersOf(crid);
    // The meter that is read last before a call is read first after it, so that it does not count the others.
    const readAll = async (order: readonly Meter[]): Promise<Map<Meter, Counts>> => {
      const read = new Map<Meter, Counts>();
      for (const meter of order) read.set(meter, await meter.read());
      return read;
    };
    for (let round = 0; round < ROUNDS; round++) {
      await oneLife(crid, stack, async (name, call, times = 1) => {
        const begin = await readAll(meters);
        for (let time = 0; time < times; time++) await call();
        await sleep(limitMs(SETTLE_MS));
        const end = await readAll([...meters].reverse());
        const cost = Object.assign(
          {},
          ...meters.map((meter) => difference(end.get(meter) ?? {}, begin.get(meter) ?? {}, times)),
        ) as Counts;
        costs.set(name, [...(costs.get(name) ?? []), cost]);
      });
    }
  } finally {
    for (const meter of meters) await meter.close();
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
  }
  return Object.fromEntries([...costs].map(([name, all]) => [name, medians(all)]));
}

const difference = (end: Counts, begin: Counts, times: number): Counts =>
  Object.fromEntries(Object.entries(end).map(([key, count]) => [key, (count - (begin[key] ?? 0)) / times]));

/** Leaves out what is mostly not there. */
function medians(all: readonly Counts[]): Counts {
  const keys = [...new Set(all.flatMap((counts) => Object.keys(counts)))].sort();
  const median = (key: string): number =>
    all.map((counts) => counts[key] ?? 0).sort((a, b) => a - b)[all.length >> 1] ?? 0;
  return Object.fromEntries(keys.map((key) => [key, median(key)] as const).filter(([, count]) => count >= 0.5));
}

const exactPart = (table: Table, expected = table): Record<string, Omit<Cost, 'systemCalls' | 'kilobytes'>> =>
  Object.fromEntries(
    Object.entries(table).map(([name, { calls, processes, fsyncs }]) => [
      name,
      { calls: steadyCalls(calls, expected[name]?.calls ?? {}), processes, fsyncs },
    ]),
  );

/**
 * Calls whose number depends on time, and how far they may be apart for each call of `per`: a killed task that ends
 * late is asked for its state, and an event about a record that crid has written may make it read the record.
 */
const UNSTEADY = [
  { method: 'tasks.get', per: 'tasks.kill', apart: 2 },
  { method: 'images.get', per: 'images.create', apart: 1 },
];

/** Returns the calls, with the expected number of those that depend on time if they are near it. */
function steadyCalls(calls: Counts, expected: Counts): Counts {
  const steady = UNSTEADY.map(({ method, per, apart }) => {
    const [found, wanted] = [calls[method] ?? 0, expected[method] ?? 0];
    const isNear = Math.abs(found - wanted) <= apart * (expected[per] ?? 0);
    return [method, isNear ? wanted : found] as const;
  });
  return { ...calls, ...Object.fromEntries(steady) };
}

function farApart(found: Table, table: Table): string[] {
  return Object.entries(found).flatMap(([name, cost]) => {
    const expected = table[name];
    if (!expected) return [`${name} is not in the table`];
    return [
      outside(`${name}: system calls`, cost.systemCalls, expected.systemCalls, SYSTEM_CALLS_APART),
      outside(`${name}: kilobytes`, cost.kilobytes, expected.kilobytes, KILOBYTES_APART),
    ].flat();
  });
}

function outside(what: string, found: number, expected: number, apart: number): string[] {
  const isWithin = found <= expected * ABOVE + apart && found >= expected * BELOW - apart;
  return isWithin ? [] : [`${what}: ${found}, the table has ${expected}`];
}
