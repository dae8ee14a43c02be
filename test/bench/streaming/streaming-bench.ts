import type { Crictl } from '../../harness/crictl.js';
import type { Bench, RunningPod } from '../bench.js';
import type { Both } from '../side.js';

/** What every part of this benchmark works with. */
export interface StreamingBench {
  readonly bench: Bench;
  /** One for each side's socket. */
  readonly crictl: Both<Crictl>;
  /** A pod with one container that does nothing, on each side. */
  readonly pods: Both<RunningPod>;
  readonly containers: Both<string>;
  /** How much goes through a stream each time. */
  readonly sizeMiB: number;
  readonly folder: string;
}
