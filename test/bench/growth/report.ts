import { head, milliseconds } from '../report.js';
import type { OperationResult, Results } from '../results.js';
import { runningOf } from '../fill.js';
import { all } from '../side.js';
import { median } from '../statistics.js';
import { table } from '../table.js';
import { GROWING, sized } from './growth.js';

/** Formats the results of the part `growth`; undefined if it did not run. */
export function growthReport(results: Results): string | undefined {
  const { environment, rounds, operations, names, findings, sizes } = results;
  if (findings.minutes.length === 0) return undefined;
  const full = Math.max(...sizes);
  return [
    `${head(environment)}; ${rounds} rounds. Of the ${full} containers on each side ${runningOf(full)} run; the others ` +
      'are records with a snapshot.',
    growthTable(operations, all(names), sizes),
    table([
      [`calls that only crid has, ${full} containers`, 'n', 'median ms'],
      ...Object.entries(findings.onlyCrid).map(([name, times]) => [
        name,
        String(times.length),
        milliseconds(median(times)),
      ]),
    ]),
    table([
      [`CPU s in a minute, ${full} containers`, 'containerd', 'all shims', 'crid', 'together'],
      ...findings.minutes.map(({ what, containerdS, shimsS, cridS }) => [
        what,
        ...[containerdS, shimsS, cridS, containerdS + shimsS + cridS].map((seconds) => seconds.toFixed(1)),
      ]),
    ]),
    table([
      [`process, ${full} containers`, 'RSS MiB', 'RSS MiB at most'],
      ...findings.fullNode.map(({ name, rssMiB, peakMiB }) => [name, rssMiB.toFixed(0), peakMiB.toFixed(0)]),
    ]),
  ].join('\n\n');
}

/** Milliseconds of each side by the number of containers; crid's with the ratio in brackets. */
export function growthTable(
  operations: readonly OperationResult[],
  names: readonly string[],
  sizes: readonly number[],
): string {
  const cell = (operation: string, size: number, index: number): string => {
    const found = operations.find((one) => one.operation === sized(operation, size));
    const side = found && all(found.sides)[index];
    if (!side) return '–';
    return index === 0 ? milliseconds(side.medianMs) : `${milliseconds(side.medianMs)} (${side.ratio.toFixed(2)})`;
  };
  const rows = GROWING.flatMap((operation) =>
    names.map((name, index) => [
      index === 0 ? operation : '',
      name,
      ...sizes.map((size) => cell(operation, size, index)),
    ]),
  );
  return table([['median ms, by containers on each side', 'server', ...sizes.map(String)], ...rows]);
}
