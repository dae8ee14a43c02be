import type { TracedCall } from '../../generated/crid/v1/traces.js';
import { callTree, type TreeLine } from './call-tree.js';

/**
 * Returns the calls in the trace event format (JSON), which Perfetto (ui.perfetto.dev) and Chrome (chrome://tracing)
 * open. A call is a process. Spans that ran side by side are on threads of their own, since a thread's events must be
 * nested.
 */
export function asEvents(calls: readonly TracedCall[]): string {
  const traceEvents = calls.flatMap((call, index) => callEvents(call, index + 1));
  return `${JSON.stringify({ displayTimeUnit: 'ms', traceEvents }, undefined, 1)}\n`;
}

type TraceEvent = Readonly<Record<string, unknown>>;

function callEvents(call: TracedCall, pid: number): TraceEvent[] {
  const startedUs = Number(call.started_at / 1000n);
  const lines = callTree(call);
  const lanes = lanesOf(lines);
  const name = lines[0]?.label;
  return [
    { ph: 'M', name: 'process_name', pid, args: { name } },
    { ph: 'M', name: 'process_sort_index', pid, args: { sort_index: pid } },
    ...lines.map((line, index) => ({
      ph: 'X',
      name: line.label,
      cat: line.depth === 0 ? 'cri' : line.label.startsWith('containerd ') ? 'containerd' : 'step',
      pid,
      tid: lanes[index],
      ts: startedUs + line.startUs,
      dur: line.durationUs,
      args: {
        ...(line.depth === 0 && call.attributes),
        ...(line.error !== undefined && { error: line.error }),
        ...(line.isRunning && { running: true }),
      },
    })),
  ];
}

/** Gives each line the first lane in which it lies inside, or after, what the lane has. */
function lanesOf(lines: readonly TreeLine[]): number[] {
  const lanes: (readonly [from: number, to: number])[][] = [];
  return lines.map(({ startUs, durationUs }) => {
    const [from, to] = [startUs, startUs + durationUs];
    const fits = lanes.findIndex((spans) =>
      spans.every(([start, end]) => from >= end || to <= start || (from >= start && to <= end)),
    );
    const lane = fits === -1 ? lanes.push([]) - 1 : fits;
    lanes[lane]?.push([from, to]);
    return lane + 1;
  });
}
