import type { Environment } from '../environment.js';
import type { Measured, Recorder } from '../recorder.js';
import { table } from '../table.js';
import { median, percentile } from '../statistics.js';
import { EXEC_OVER_SPDY, EXEC_OVER_WEBSOCKET } from './latency.js';
import type { Interference } from './interference.js';
import { OPERATIONS, type OverWebSocket } from './throughput.js';

export interface StreamingResults {
  readonly environment: Environment;
  readonly recorder: Recorder;
  readonly sizeMiB: number;
  readonly latencyOverWebSocket: readonly number[];
  readonly overWebSocket: OverWebSocket | undefined;
  readonly interference: readonly Interference[];
}

export function streamingReport(results: StreamingResults): string {
  const { date, cpus, load, node, containerd, commit } = results.environment;
  return [
    `${date}, ${cpus} CPUs, load ${load.toFixed(1)} at the start, Node ${node}, containerd ${containerd}, commit ${commit}.`,
    ...latencyTable(results),
    ...throughputTable(results),
    ...interferenceTable(results),
  ].join('\n\n');
}

const ms = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(value < 10 ? 2 : 1));
const ratio = (a: number, b: number): string => (a / b).toFixed(2);

function latencyTable({ recorder, latencyOverWebSocket: over }: StreamingResults): string[] {
  const measured = recorder.measured.get(EXEC_OVER_SPDY);
  if (!measured) return [];
  const { reference, candidate } = measured.samples;
  const p99 = (values: readonly number[]): number => percentile(values, 0.99);
  return [
    table([
      ['ms', 'n', 'containerd p50', 'p99', 'crid p50', 'p99', 'ratio p50', 'ratio p99'],
      [
        ...[EXEC_OVER_SPDY, String(reference.length), ms(median(reference)), ms(p99(reference))],
        ...[ms(median(candidate)), ms(p99(candidate))],
        ...[ratio(median(candidate), median(reference)), ratio(p99(candidate), p99(reference))],
      ],
      [EXEC_OVER_WEBSOCKET, String(over.length), 'refused', '', ms(median(over)), ms(p99(over)), '', ''],
    ]),
  ];
}

function throughputTable({ recorder, overWebSocket, sizeMiB }: StreamingResults): string[] {
  const present = OPERATIONS.flatMap((operation) => recorder.measured.get(operation) ?? []);
  if (present.length === 0) return [];
  const rate = (values: readonly number[]): number => sizeMiB / (median(values) / 1000);
  const perGiB = (cpu: number, count: number): string => (((cpu / count / 1000) * 1024) / sizeMiB).toFixed(2);
  return [
    table([
      ['MiB/s', 'containerd', 'crid', 'ratio', 'crid, WebSocket', 'CPU s/GiB: containerd', 'crid', 'crid, WebSocket'],
      ...present.map(({ operation, samples, cpu }: Measured) => {
        const over = overWebSocket?.[operation as keyof OverWebSocket];
        const count = samples.reference.length;
        return [
          ...[operation, rate(samples.reference).toFixed(0), rate(samples.candidate).toFixed(0)],
          ratio(rate(samples.candidate), rate(samples.reference)),
          over && over.ms.length > 0 ? rate(over.ms).toFixed(0) : '',
          perGiB(cpu.reference.containerdMs + cpu.reference.cridMs, count),
          perGiB(cpu.candidate.containerdMs + cpu.candidate.cridMs, count),
          over && over.cpuMs.length > 0 ? perGiB(median(over.cpuMs), 1) : '',
        ];
      }),
    ]),
  ];
}

function interferenceTable({ interference }: StreamingResults): string[] {
  if (interference.length === 0) return [];
  const p99 = (values: readonly number[]): number => percentile(values, 0.99);
  return [
    table([
      ['ms, p50 / p99', 'n', 'containerd idle', 'loaded', 'ratio p99', 'crid idle', 'loaded', 'ratio p99'],
      ...interference.map(({ operation, idle, loaded }) => [
        ...[operation, String(idle.candidate.length)],
        ...(['reference', 'candidate'] as const).flatMap((key) => [
          ...[idle[key], loaded[key]].map((values) => `${ms(median(values))} / ${ms(p99(values))}`),
          ratio(p99(loaded[key]), p99(idle[key])),
        ]),
      ]),
    ]),
  ];
}
