import { invalidArgument } from '../base/errors.js';
import type { HostFacts, SpecOptions } from './types.js';

/** The pause process is to outlive everything else of its pod: the kubelet's value for it. */
export const PAUSE_OOM_SCORE_ADJ = -998;

/**
 * The `oom_score_adj` to write. A process without CAP_SYS_RESOURCE cannot go below its own, and the runtime would fail
 * on trying (proc_pid_oom_score_adj(5)): there, or where the configuration says so, crid's own is the lower bound.
 */
export function oomScoreAdj(wanted: number | bigint, host: HostFacts, options: SpecOptions): number {
  const value = Number(wanted);
  if (value < -1000 || value > 1000) {
    throw invalidArgument('config.linux.resources.oom_score_adj', `expected -1000 to 1000, received ${wanted}`);
  }
  const restricted = options.restrictOomScoreAdj || !host.mayLowerOomScore;
  return restricted ? Math.max(value, host.oomScoreAdj) : value;
}
