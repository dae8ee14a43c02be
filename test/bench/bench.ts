import type { Recorder } from './recorder.js';
import type { ContainerRequest, PodConfig, Requests } from './requests.js';
import type { Both, Side } from './side.js';

/** What every part of the benchmark works with. */
export interface Bench {
  readonly sides: Both<Side>;
  readonly recorder: Recorder;
  readonly requests: Both<Requests>;
  /** How often the expensive operations run on each side; cheap ones run more often, and very expensive ones less. */
  readonly rounds: number;
  readonly images: {
    /** In place before the benchmark starts. */
    readonly warm: string;
    /** Pulled, and removed again, by the benchmark alone. */
    readonly cold: string;
  };
}

/** A part of the benchmark; it removes what it makes. */
export interface Part {
  readonly name: string;
  /** What it measures, in the order of the table. */
  readonly operations: readonly string[];
  run(bench: Bench): Promise<void>;
}

/** A pod that runs, with the config that every later call on it must repeat. */
export interface RunningPod {
  readonly id: string;
  readonly config: PodConfig;
}

export async function runPod(bench: Bench, side: Side): Promise<RunningPod> {
  const config = bench.requests[side.key].pod();
  const { pod_sandbox_id: id } = await side.runtime.runPodSandbox({ config });
  return { id, config };
}

export async function createContainer(
  bench: Bench,
  side: Side,
  pod: RunningPod,
  name: string,
  more: ContainerRequest = {},
): Promise<string> {
  const { container_id: id } = await side.runtime.createContainer({
    pod_sandbox_id: pod.id,
    config: { ...bench.requests[side.key].container(name), ...more },
    sandbox_config: pod.config,
  });
  return id;
}

/** Ends the pod and its containers. */
export async function removePod(side: Side, id: string): Promise<void> {
  await side.runtime.stopPodSandbox({ pod_sandbox_id: id });
  await side.runtime.removePodSandbox({ pod_sandbox_id: id });
}
