import type { Environment } from './environment.js';
import type { Findings } from './findings.js';
import type { ProcessResult } from './processes.js';
import type { Cpu, Measured } from './recorder.js';
import { mapEach, type Each } from './side.js';
import { median, percentile } from './statistics.js';

/** The results of one run, as `--json` writes them. */
export interface Results {
  readonly environment: Environment;
  readonly names: Each<string>;
  readonly rounds: number;
  /** The numbers of containers of the part `growth`. */
  readonly sizes: readonly number[];
  readonly durationS: number;
  /** The number of processors that were busy before the first call. */
  readonly baseline: number;
  readonly operations: readonly OperationResult[];
  /** The servers after the parts that are not slow. */
  readonly processes: Each<ProcessResult>;
  /** CPU time during each side's calls. */
  readonly cpuInCalls: Each<Cpu>;
  readonly findings: Findings;
}

export interface OperationResult {
  readonly operation: string;
  readonly sides: Each<SideResult>;
}

export interface SideResult {
  readonly n: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** The median divided by the reference's. */
  readonly ratio: number;
  /** The median of the ratios of all rounds. */
  readonly pairedRatio: number;
}

export function operationResults(
  measured: ReadonlyMap<string, Measured>,
  operations: Iterable<string>,
): OperationResult[] {
  return [...operations].flatMap((operation) => {
    const entry = measured.get(operation);
    return entry ? [operationResult(entry)] : [];
  });
}

function operationResult({ operation, samples, pairs }: Measured): OperationResult {
  const referenceMs = median(samples.reference);
  const keyed: Each<keyof Each<unknown>> = {
    ...{ reference: 'reference', candidate: 'candidate' },
    ...(samples.variant && { variant: 'variant' }),
  };
  return {
    operation,
    sides: mapEach(keyed, (key): SideResult => {
      const times = samples[key] ?? [];
      return {
        n: times.length,
        medianMs: median(times),
        p95Ms: percentile(times, 0.95),
        ratio: median(times) / referenceMs,
        pairedRatio: median(pairs.map((pair) => (pair[key] ?? Number.NaN) / pair.reference)),
      };
    }),
  };
}
