import { silentSteps, type Step } from '../../tools/stack/steps.js';
import type { Findings } from './findings.js';
import { createRecorder, type Recorder } from './recorder.js';
import { createRequests, type ContainerRequest, type PodConfig, type Requests } from './requests.js';
import type { Servers } from './servers.js';
import { mapEach, of, type Each, type Side } from './side.js';

/** The servers and settings that every part of the benchmark uses. */
export interface Bench {
  readonly sides: Each<Side>;
  readonly recorder: Recorder;
  /** Results that are not times of CRI calls. */
  readonly findings: Findings;
  readonly servers: Servers;
  /** The number of processors that are busy before the first call. */
  readonly baseline: number;
  readonly step: Step;
  readonly signal: AbortSignal;
  readonly requests: (side: Side) => Requests;
  /** How often the expensive operations run on each side. Cheap ones run more often, and very expensive ones less. */
  readonly rounds: number;
  readonly images: {
    /** Present before the benchmark starts. */
    readonly warm: string;
    /** Only the benchmark pulls and removes this image. */
    readonly cold: string;
  };
}

export interface BenchOptions {
  readonly rounds: number;
  readonly signal?: AbortSignal;
  readonly step?: Step;
  readonly baseline?: number;
  /** Those of the servers unless given. */
  readonly sides?: Each<Side>;
}

export function createBench(servers: Servers, options: BenchOptions): Bench {
  const { containerdPid, images, folder } = servers;
  const { rounds, step = silentSteps, baseline = 0, sides = servers.sides } = options;
  const signal = options.signal ?? new AbortController().signal;
  const requests = mapEach(sides, ({ key, name }) =>
    createRequests({ image: images.warm, logRoot: `${folder}/${name.replaceAll(/\W+/g, '-')}-logs`, server: key }),
  );
  return {
    ...{ sides, rounds, images, servers, step, baseline, signal },
    findings: { floor: [], traced: [], minutes: [], onlyCrid: {}, fullNode: [] },
    recorder: createRecorder({ sides, containerdPid, signal }),
    requests: (side) => of(requests, side),
  };
}

/** A part of the benchmark. It removes what it creates. */
export interface Part {
  readonly name: string;
  /** The measured operations, in the order of the table. */
  readonly operations: readonly string[];
  /** Runs only if it is chosen by name. */
  readonly isSlow?: boolean;
  run(bench: Bench): Promise<void>;
}

/** A running pod, with the config that later calls on it must repeat. */
export interface RunningPod {
  readonly id: string;
  readonly config: PodConfig;
}

export async function runPod(bench: Bench, side: Side): Promise<RunningPod> {
  const config = bench.requests(side).pod();
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
    config: { ...bench.requests(side).container(name), ...more },
    sandbox_config: pod.config,
  });
  return id;
}

/** Stops and removes the pod and its containers. */
export async function removePod(side: Side, id: string): Promise<void> {
  await side.runtime.stopPodSandbox({ pod_sandbox_id: id });
  await side.runtime.removePodSandbox({ pod_sandbox_id: id });
}
