import type { Pressure, Stall } from '../../base/cgroup-usage.js';

/** Parses lines of `some avg10=0.00 avg60=0.00 avg300=0.00 total=123` (psi.rst), with the total in microseconds. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  if (text === undefined || text === '') return undefined;
  return { some: stallOf(text, 'some'), full: stallOf(text, 'full') };
}

function stallOf(text: string, kind: string): Stall | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${kind} `));
  const values = /avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)/.exec(line ?? '');
  if (!values) return undefined;
  const [avg10, avg60, avg300] = [values[1], values[2], values[3]].map(Number) as [number, number, number];
  return { avg10, avg60, avg300, totalNs: BigInt(values[4]!) * 1000n };
}
