import type { Environment } from './environment.js';
import type { Memory } from './processes.js';
import type { Cpu, Measured, Recorder } from './recorder.js';
import type { Both } from './side.js';
import { median, percentile, sum } from './statistics.js';

/** The results of one run, as `--json` writes them. */
export interface Results {
  readonly environment: Environment;
  readonly names: Both<string>;
  readonly rounds: number;
  readonly durationS: number;
  readonly operations: readonly OperationResult[];
  readonly processes: readonly ProcessResult[];
  /** CPU seconds during each side's calls, by process. */
  readonly cpuInCalls: Both<{ containerdS: number; cridS: number }>;
}

export interface OperationResult {
  readonly operation: string;
  readonly reference: SideResult;
  readonly candidate: SideResult;
  /** The candidate's median divided by the reference's. */
  readonly ratio: number;
  /** The median of the ratios of all rounds. */
  readonly pairedRatio: number;
}

export interface SideResult {
  readonly n: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** CPU milliseconds per call. */
  readonly cpu: Cpu;
}

export interface ProcessResult extends Memory {
  readonly name: string;
  readonly cpuS: number;
}

export function operationResults(recorder: Recorder, operations: readonly string[]): OperationResult[] {
  return operations.flatMap((operation) => {
    const entry = recorder.measured.get(operation);
    return entry ? [operationResult(entry)] : [];
  });
}

export function cpuInCalls(recorder: Recorder): Results['cpuInCalls'] {
  const entries = [...recorder.measured.values()];
  const seconds = (key: keyof Both<unknown>) => ({
    containerdS: sum(entries.map(({ cpu }) => cpu[key].containerdMs)) / 1000,
    cridS: sum(entries.map(({ cpu }) => cpu[key].cridMs)) / 1000,
  });
  return { reference: seconds('reference'), candidate: seconds('candidate') };
}

function operationResult(entry: Measured): OperationResult {
  const reference = sideResult(entry, 'reference');
  const candidate = sideResult(entry, 'candidate');
  return {
    operation: entry.operation,
    reference,
    candidate,
    ratio: candidate.medianMs / reference.medianMs,
    pairedRatio: median(entry.pairs.map((pair) => pair.candidate / pair.reference)),
  };
}

function sideResult({ samples, cpu }: Measured, key: keyof Both<unknown>): SideResult {
  const times = samples[key];
  const perCall = (totalMs: number): number => totalMs / times.length;
  return {
    n: times.length,
    medianMs: median(times),
    p95Ms: percentile(times, 0.95),
    cpu: { containerdMs: perCall(cpu[key].containerdMs), cridMs: perCall(cpu[key].cridMs) },
  };
}
