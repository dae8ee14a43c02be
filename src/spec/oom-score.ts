import { invalidArgument } from '../base/errors.js';
import type { HostFacts, SpecOptions } from './types.js';

/** The kubelet's value for the pause process, which should outlive every other process of its pod. */
export const PAUSE_OOM_SCORE_ADJ = -998;

/**
 * Returns the `oom_score_adj` to write. A process without CAP_SYS_RESOURCE cannot set a lower value than its own, and
 * the runtime would fail (proc_pid_oom_score_adj(5)). Without it, or with `restrict_oom_score_adj`, crid's own value is
 * the lower bound.
 */
export function oomScoreAdj(wanted: number | bigint, host: HostFacts, options: SpecOptions): number {
  const value = Number(wanted);
  if (value < -1000 || value > 1000) {
    throw invalidArgument('config.linux.resources.oom_score_adj', `expected -1000 to 1000, received ${wanted}`);
  }
  const restricted = options.restrictOomScoreAdj || !host.mayLowerOomScore;
  return restricted ? Math.max(value, host.oomScoreAdj) : value;
}
