import type { Environment } from './environment.js';
import { isMet, MEMORY_GOAL_MIB, outcomes, type Outcome, type Verdict } from './goals.js';
import type { OperationResult, Results } from './results.js';
import { all, mapEach, type Each } from './side.js';
import { table, type Cells } from './table.js';

/** Formats the results of the parts that are not slow, as Markdown tables that are also readable on a terminal. */
export function report(results: Results): string {
  const { environment, rounds, durationS, baseline, findings } = results;
  return [
    `${head(environment)}; ${rounds} rounds in ${durationS} s; ${baseline.toFixed(2)} processors were busy before the first call.`,
    ...goalTable(results),
    ...operationTable(results.operations, results.names),
    ...(results.operations.length > 0 ? [processTable(results), cpuTable(results)] : []),
    ...floorTable(findings),
    ...tracedTable(findings),
  ].join('\n\n');
}

/** The first words of all results. */
export const head = ({ date, kernel, cpus, memoryGiB, load, node, containerd, commit }: Environment): string =>
  `${date}, Linux ${kernel}, ${cpus} CPUs, ${memoryGiB} GiB, load ${load.toFixed(1)} at the start, Node ${node}, ` +
  `containerd ${containerd}${commit && `, commit ${commit}`}`;

export const milliseconds = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

/** The goals that were measured; none with the plugin on both sides. */
function goalTable({ operations, names, processes }: Results): string[] {
  const found = outcomes(operations);
  if (found.length === 0 || !names.candidate.startsWith('crid')) return [];
  const withVariant = names.variant !== undefined;
  const columns = (name: string): Cells => [`${name}: ratio`, 'goal', 'met'];
  const memory = (value: number | undefined): Verdict => ({ ratio: value ?? Number.NaN, limit: MEMORY_GOAL_MIB });
  return [
    table([
      ['goal', ...columns(names.candidate), ...(names.variant === undefined ? [] : columns(names.variant))],
      ...found.map((outcome) => [
        label(outcome),
        ...verdict(outcome.candidate),
        ...(withVariant ? verdict(outcome.variant) : []),
      ]),
      [
        'memory after the benchmark, MiB',
        ...verdict(memory(processes.candidate.rssMiB), 0),
        ...(withVariant ? verdict(memory(processes.variant?.rssMiB), 0) : []),
      ],
    ]),
  ];
}

const label = ({ goal, worst }: Outcome): string =>
  goal.operations.length > 1 ? `${goal.what}, each; the highest: ${worst.operation}` : goal.what;

function verdict(found: Verdict | undefined, digits = 2): Cells {
  if (!found) return ['–', '–', '–'];
  const { ratio, limit } = found;
  const shown = ratio.toFixed(digits);
  return limit === undefined
    ? [shown, '–', '–']
    : [shown, `≤ ${limit.toFixed(digits)}`, isMet(ratio, limit, digits) ? 'yes' : 'no'];
}

function operationTable(operations: readonly OperationResult[], names: Each<string>): string[] {
  if (operations.length === 0) return [];
  const others = all(names).slice(1);
  return [
    table([
      [
        ...['operation', 'n', `${names.reference}: median ms`, 'p95'],
        ...others.flatMap((name) => [`${name}: median ms`, 'p95', 'ratio', 'paired ratio']),
      ],
      ...operations.map(({ operation, sides }) => {
        const [reference, ...rest] = all(sides);
        const { n = 0, medianMs = Number.NaN, p95Ms = Number.NaN } = reference ?? {};
        return [
          ...[operation, String(n), milliseconds(medianMs), milliseconds(p95Ms)],
          ...rest.flatMap((side) => [
            ...[milliseconds(side.medianMs), milliseconds(side.p95Ms)],
            ...[side.ratio.toFixed(2), side.pairedRatio.toFixed(2)],
          ]),
        ];
      }),
    ]),
  ];
}

const processTable = ({ processes }: Results): string =>
  table([
    ['process', 'RSS MiB at the end', 'RSS MiB at most', 'CPU s in all'],
    ...all(processes).map(({ name, rssMiB, peakMiB, cpuS }) => [
      name,
      rssMiB.toFixed(0),
      peakMiB.toFixed(0),
      cpuS.toFixed(1),
    ]),
  ]);

function cpuTable({ cpuInCalls, names }: Results): string {
  const seconds = (ms: number): string => (ms / 1000).toFixed(1);
  return table([
    ['CPU s during the measured calls of', 'containerd', 'crid', 'together'],
    ...all(mapEach(cpuInCalls, (cpu) => cpu)).map(({ containerdMs, cridMs }, index) => [
      all(names)[index] ?? '',
      ...[containerdMs, cridMs, containerdMs + cridMs].map(seconds),
    ]),
  ]);
}

const floorTable = ({ floor }: Results['findings']): string[] =>
  floor.length === 0
    ? []
    : [
        table([
          ['the floor: without a CRI server', 'n', 'median ms', 'p95'],
          ...floor.map(({ step, n, medianMs, p95Ms }) => [
            step,
            String(n),
            milliseconds(medianMs),
            milliseconds(p95Ms),
          ]),
        ]),
      ];

const tracedTable = ({ traced }: Results['findings']): string[] =>
  traced.length === 0
    ? []
    : [
        table([
          ["crid's CPU s per 1,000 calls", 'calls', 'traced_calls = 0', 'traced_calls = 200', 'ratio'],
          ...traced.map(({ what, calls, offS, onS }) => [
            what,
            String(calls),
            offS.toFixed(2),
            onS.toFixed(2),
            (onS / offS).toFixed(2),
          ]),
        ]),
      ];
