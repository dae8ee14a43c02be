import type { Results } from './results.js';

type Cells = readonly string[];

/** Formats the results as Markdown tables, which are also readable on a terminal. */
export function report(results: Results): string {
  const { environment, names, processes, cpuInCalls, rounds, durationS } = results;
  const { reference, candidate } = names;
  const commit = environment.commit && `, commit ${environment.commit}`;
  return [
    `${environment.date}, Linux ${environment.kernel}, ${environment.cpus} CPUs, ${environment.memoryGiB} GiB, load ${environment.load.toFixed(1)} at the start, ` +
      `Node ${environment.node}, containerd ${environment.containerd}${commit}; ${rounds} rounds in ${durationS} s.`,
    table([
      ['operation', 'n', `${reference} median ms`, 'p95', `${candidate} median ms`, 'p95', 'ratio', 'paired ratio'],
      ...results.operations.map(({ operation, reference, candidate, ratio, pairedRatio }) => [
        operation,
        String(reference.n),
        milliseconds(reference.medianMs),
        milliseconds(reference.p95Ms),
        milliseconds(candidate.medianMs),
        milliseconds(candidate.p95Ms),
        ratio.toFixed(2),
        pairedRatio.toFixed(2),
      ]),
    ]),
    table([
      ['process', 'RSS MiB at the end', 'RSS MiB at most', 'CPU s in all'],
      ...processes.map(({ name, rssMiB, peakMiB, cpuS }) => [
        name,
        rssMiB.toFixed(0),
        peakMiB.toFixed(0),
        cpuS.toFixed(1),
      ]),
    ]),
    table([
      ['CPU s during the measured calls of', 'containerd', 'crid', 'together'],
      ...(['reference', 'candidate'] as const).map((key) => {
        const { containerdS, cridS } = cpuInCalls[key];
        return [names[key], containerdS.toFixed(1), cridS.toFixed(1), (containerdS + cridS).toFixed(1)];
      }),
    ]),
  ].join('\n\n');
}

export const milliseconds = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

/** Formats a Markdown table with a left-aligned first column. */
export function table([head, ...rows]: readonly [Cells, ...Cells[]]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((cells) => cells[column]?.length ?? 0), 3));
  const line = (cells: Cells): string =>
    `| ${cells.map((cell, column) => pad(cell, widths[column] ?? 0, column === 0)).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

const pad = (text: string, width: number, left: boolean): string => (left ? text.padEnd(width) : text.padStart(width));
