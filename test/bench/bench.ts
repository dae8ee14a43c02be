import type { Recorder } from './recorder.js';
import type { ContainerRequest, PodConfig, Requests } from './requests.js';
import type { Both, Side } from './side.js';

/** The servers and settings that every part of the benchmark uses. */
export interface Bench {
  readonly sides: Both<Side>;
  readonly recorder: Recorder;
  readonly requests: Both<Requests>;
  /** How often the expensive operations run on each side. Cheap ones run more often, and very expensive ones less. */
  readonly rounds: number;
  readonly images: {
    /** Present before the benchmark starts. */
    readonly warm: string;
    /** Only the benchmark pulls and removes this image. */
    readonly cold: string;
  };
}

/** A part of the benchmark. It removes what it creates. */
export interface Part {
  readonly name: string;
  /** The measured operations, in the order of the table. */
  readonly operations: readonly string[];
  run(bench: Bench): Promise<void>;
}

/** A running pod, with the config that later calls on it must repeat. */
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

/** Stops and removes the pod and its containers. */
export async function removePod(side: Side, id: string): Promise<void> {
  await side.runtime.stopPodSandbox({ pod_sandbox_id: id });
  await side.runtime.removePodSandbox({ pod_sandbox_id: id });
}
