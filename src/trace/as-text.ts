import type { TracedCall } from '../../generated/crid/v1/traces.js';
import { callTree, duration, startTime, wholeUs, type TreeLine } from './call-tree.js';

const LEAST_BAR = 10;
const TIME_COLUMNS = 11;

/**
 * Returns a call as a tree for a terminal of so many columns: a head line, then one line for each span with its start,
 * its duration, and a bar that shows when it ran. Lines above each other ran side by side where their bars overlap.
 */
export function asText(call: TracedCall, columns: number): string {
  const lines = callTree(call);
  const [head, ...spans] = lines;
  if (!head) return '';
  const labels = spans.map((line) => `${branchText(line)}${line.label}`);
  const room = columns - 2 * TIME_COLUMNS - LEAST_BAR - 2;
  const labelColumns = Math.max(16, Math.min(room, Math.max(0, ...labels.map((label) => label.length))));
  const barColumns = Math.max(LEAST_BAR, columns - labelColumns - 2 * TIME_COLUMNS - 2);
  const whole = wholeUs(lines);
  const texts = spans.flatMap((line, index) => [
    [
      cut(labels[index] ?? '', labelColumns).padEnd(labelColumns),
      `+${duration(line.startUs)}`.padStart(TIME_COLUMNS),
      lengthText(line).padStart(TIME_COLUMNS),
      `  ${barText(line, whole, barColumns)}`,
    ]
      .join('')
      .trimEnd(),
    ...(line.error === undefined ? [] : [`${aboveText(line.branches)}${line.error}`]),
  ]);
  const leftOut = call.left_out === 0 ? [] : [`${call.left_out} more spans are not kept`];
  const error = head.error === undefined ? [] : [head.error];
  const heading = `${startTime(call)}  ${head.label}  ${lengthText(head)}`;
  return [heading, ...error, ...texts, ...leftOut, ''].map(printable).join('\n');
}

const lengthText = ({ durationUs, isRunning }: TreeLine): string =>
  isRunning ? `>${duration(durationUs)}` : duration(durationUs);

/** `│  ├─ ` */
function branchText({ branches }: TreeLine): string {
  return `${aboveText(branches.slice(0, -1))}${branches.at(-1) === true ? '├─ ' : '└─ '}`;
}

const aboveText = (branches: readonly boolean[]): string => branches.map((more) => (more ? '│  ' : '   ')).join('');

/** A bar of at least one eighth of a column; a span that still runs ends in `▒`. */
function barText({ startUs, durationUs, isRunning }: TreeLine, whole: number, columns: number): string {
  const from = (startUs / whole) * columns;
  const to = Math.max(((startUs + durationUs) / whole) * columns, from + 1 / 8);
  const first = Math.min(Math.floor(from), columns - 1);
  const full = Math.floor(to) - first;
  const bar = full >= 1 ? '█'.repeat(full) : (EIGHTHS[Math.ceil((to - from) * 8)] ?? '█');
  return `${' '.repeat(first)}${isRunning ? `${bar.slice(0, -1)}▒` : bar}`;
}

const EIGHTHS = ['▏', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/** A name in a trace may come from anybody, and must not control the terminal. */
// eslint-disable-next-line no-control-regex -- they are replaced
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '�');

const cut = (text: string, columns: number): string =>
  text.length > columns ? `${text.slice(0, columns - 1)}…` : text;
