import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMet, outcomes, type Goal } from '../../bench/goals.js';
import { growthTable } from '../../bench/growth/report.js';
import { report } from '../../bench/report.js';
import { operationResults, type OperationResult, type Results } from '../../bench/results.js';
import { all, mapEach, of, onEach, type Each, type Side } from '../../bench/side.js';

const NONE = { containerdMs: 0, cridMs: 0 };

const measured = (operation: string, samples: Each<number[]>): OperationResult => {
  const pairs = samples.reference.map((_, index) => mapEach(samples, (times) => times[index] ?? Number.NaN));
  const entry = { operation, samples, pairs, cpu: mapEach(samples, () => NONE) };
  return operationResults(new Map([[operation, entry]]), [operation])[0]!;
};

test('the ratio is that of the medians, the paired ratio the median of the ratios of the rounds', () => {
  const { sides } = measured('Version', { reference: [10, 20, 40], candidate: [20, 10, 40], variant: [5, 5, 4] });
  assert.deepEqual(sides, {
    reference: { n: 3, medianMs: 20, p95Ms: 40, ratio: 1, pairedRatio: 1 },
    candidate: { n: 3, medianMs: 20, p95Ms: 40, ratio: 1, pairedRatio: 1 },
    variant: { n: 3, medianMs: 5, p95Ms: 5, ratio: 0.25, pairedRatio: 0.25 },
  });
});

test('operations that were not measured have no result', () => {
  assert.deepEqual(operationResults(new Map(), ['Version']), []);
});

test('a goal of several operations is that of the highest ratio of each server', () => {
  const goals: Goal[] = [
    { what: 'reads', operations: ['Version', 'Status'], pause: 1.1, pinned: 0.9 },
    { what: 'not measured', operations: ['ExecSync'], pause: 1 },
  ];
  const version = measured('Version', { reference: [10], candidate: [11], variant: [12] });
  const status = measured('Status', { reference: [10], candidate: [13], variant: [9] });
  assert.deepEqual(outcomes([version, status], goals), [
    { goal: goals[0], worst: status, candidate: { ratio: 1.3, limit: 1.1 }, variant: { ratio: 1.2, limit: 0.9 } },
  ]);
});

test('a goal of which only a part was measured has no outcome', () => {
  const goals: Goal[] = [{ what: 'reads', operations: ['Version', 'Status'], pause: 1.1 }];
  assert.deepEqual(outcomes([measured('Version', { reference: [10], candidate: [11] })], goals), []);
});

test('a goal is met when the printed ratio is within the limit', () => {
  assert.deepEqual(
    [1.004, 1.006, 0.85, 0.856, Number.NaN].map((ratio, index) => isMet(ratio, index < 2 ? 1 : 0.85, 2)),
    [true, false, true, false, false],
  );
});

const RESULTS: Results = {
  environment: {
    ...{ date: '2026-01-02', kernel: '6.1', cpus: 2, memoryGiB: 4, load: 0.25 },
    ...{ node: '20.1.0', containerd: '2.3.7', commit: 'abc1234' },
  },
  names: { reference: 'containerd', candidate: 'crid', variant: 'crid, pinned' },
  rounds: 1,
  sizes: [10, 1000],
  durationS: 3,
  baseline: 0.02,
  operations: [
    measured('StartContainer', { reference: [40], candidate: [44], variant: [30] }),
    measured('RunPodSandbox', { reference: [100], candidate: [85], variant: [50] }),
  ],
  processes: mapEach({ reference: 'containerd', candidate: 'crid', variant: 'crid, pinned' }, (name) => ({
    ...{ name, rssMiB: 110.4, peakMiB: 120, cpuS: 1.5 },
  })),
  cpuInCalls: mapEach({ reference: 0, candidate: 500, variant: 250 }, (cridMs) => ({ containerdMs: 1000, cridMs })),
  findings: {
    floor: [{ step: 'CNI: portmap ADD', n: 25, medianMs: 11.12, p95Ms: 14 }],
    traced: [{ what: 'ExecSync', calls: 1000, offS: 4, onS: 4.4 }],
    ...{ minutes: [], onlyCrid: {}, fullNode: [] },
  },
};

test('the report has the goals, the calls, the processes, the floor and the cost of the record', () => {
  assert.equal(
    report(RESULTS),
    `2026-01-02, Linux 6.1, 2 CPUs, 4 GiB, load 0.3 at the start, Node 20.1.0, containerd 2.3.7, commit abc1234; 1 rounds in 3 s; 0.02 processors were busy before the first call.

| goal                            | crid: ratio |   goal | met | crid, pinned: ratio |   goal | met |
| ------------------------------- | ----------: | -----: | --: | ------------------: | -----: | --: |
| RunPodSandbox                   |        0.85 | ≤ 0.85 | yes |                0.50 | ≤ 0.60 | yes |
| StartContainer                  |        1.10 | ≤ 1.05 |  no |                0.75 |      – |   – |
| memory after the benchmark, MiB |         110 |  ≤ 110 | yes |                 110 |  ≤ 110 | yes |

| operation      |   n | containerd: median ms |  p95 | crid: median ms |  p95 | ratio | paired ratio | crid, pinned: median ms |  p95 | ratio | paired ratio |
| -------------- | --: | --------------------: | ---: | --------------: | ---: | ----: | -----------: | ----------------------: | ---: | ----: | -----------: |
| StartContainer |   1 |                  40.0 | 40.0 |            44.0 | 44.0 |  1.10 |         1.10 |                    30.0 | 30.0 |  0.75 |         0.75 |
| RunPodSandbox  |   1 |                   100 |  100 |            85.0 | 85.0 |  0.85 |         0.85 |                    50.0 | 50.0 |  0.50 |         0.50 |

| process      | RSS MiB at the end | RSS MiB at most | CPU s in all |
| ------------ | -----------------: | --------------: | -----------: |
| containerd   |                110 |             120 |          1.5 |
| crid         |                110 |             120 |          1.5 |
| crid, pinned |                110 |             120 |          1.5 |

| CPU s during the measured calls of | containerd | crid | together |
| ---------------------------------- | ---------: | ---: | -------: |
| containerd                         |        1.0 |  0.0 |      1.0 |
| crid                               |        1.0 |  0.5 |      1.5 |
| crid, pinned                       |        1.0 |  0.3 |      1.3 |

| the floor: without a CRI server |   n | median ms |  p95 |
| ------------------------------- | --: | --------: | ---: |
| CNI: portmap ADD                |  25 |      11.1 | 14.0 |

| crid's CPU s per 1,000 calls | calls | traced_calls = 0 | traced_calls = 200 | ratio |
| ---------------------------- | ----: | ---------------: | -----------------: | ----: |
| ExecSync                     |  1000 |             4.00 |               4.40 |  1.10 |`,
  );
});

test('with the plugin on both sides there are no goals', () => {
  const text = report({ ...RESULTS, names: { reference: 'containerd', candidate: 'containerd again' } });
  assert.doesNotMatch(text, /goal/);
});

test('the table of growth has crid with its ratio, and a dash where nothing was measured', () => {
  const operations = [
    measured('ListContainers (10)', { reference: [2], candidate: [1] }),
    measured('ListContainers (1000)', { reference: [10], candidate: [5] }),
    measured('ListContainerStats (1000)', { reference: [100], candidate: [20] }),
  ];
  const lines = growthTable(operations, ['containerd', 'crid'], [10, 1000]).split('\n');
  const row = (index: number): string[] => lines[index]!.split('|').map((cell) => cell.trim());
  assert.deepEqual(row(4), ['', 'ListContainers', 'containerd', '2.00', '10.0', '']);
  assert.deepEqual(row(6), ['', 'ListContainerStats', 'containerd', '–', '100', '']);
  assert.deepEqual(row(5), ['', '', 'crid', '1.00 (0.50)', '5.00 (0.50)', '']);
});

test('each turn begins with another side, and values come back by side', async () => {
  const side = (key: Side['key']): Side => ({ key }) as Side;
  const sides = { reference: side('reference'), candidate: side('candidate'), variant: side('variant') };
  const order: string[] = [];
  for (const turn of [0, 1, 2, 3]) {
    const values = await onEach(sides, async ({ key }) => order.push(key), turn);
    assert.equal(of(values, sides.reference), order.lastIndexOf('reference') + 1);
  }
  const [reference, candidate, variant] = all(mapEach(sides, ({ key }) => key));
  assert.deepEqual(order, [
    ...[reference, candidate, variant],
    ...[candidate, variant, reference],
    ...[variant, reference, candidate],
    ...[reference, candidate, variant],
  ]);
});
