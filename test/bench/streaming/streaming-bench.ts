import type { Crictl } from '../../harness/crictl.js';
import type { Bench, RunningPod } from '../bench.js';
import type { Both } from '../side.js';

/** The servers, pods and settings that every part of this benchmark uses. */
export interface StreamingBench {
  readonly bench: Bench;
  /** A crictl for each side's socket. */
  readonly crictl: Both<Crictl>;
  /** On each side, a pod with one idle container. */
  readonly pods: Both<RunningPod>;
  readonly containers: Both<string>;
  /** The size of one stream. */
  readonly sizeMiB: number;
  readonly folder: string;
}
