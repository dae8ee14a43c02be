import { createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import { all, of, onEach, type Each, type Side } from './side.js';

/** A read takes about a millisecond, so it is repeated more often than other calls. */
const READS_PER_ROUND = 10;
/** Both servers become faster during some hundred calls: Node compiles, Go's heap grows. */
const WARM_UP_READS = 150;
const FEW = 5;

export const READS = [
  'Version',
  'Status',
  'PodSandboxStatus',
  'ListPodSandbox',
  'ContainerStatus',
  `ListContainers (${FEW})`,
  'ImageStatus',
  'ListImages',
  'ImageFsInfo',
];

type Read = (side: Side) => Promise<unknown>;

/** Calls that change nothing, with one pod of five running containers on each side. */
export const reads: Part = {
  name: 'reads',
  operations: READS,
  async run(bench) {
    await withContainers(bench, FEW, async (made) => {
      for (const side of all(bench.sides)) {
        for (const id of of(made, side).containers) await side.runtime.startContainer({ container_id: id });
      }
      const image = { image: { image: bench.images.warm } };
      await repeat(bench, {
        Version: ({ runtime }) => runtime.version({}),
        Status: ({ runtime }) => runtime.status({}),
        PodSandboxStatus: (side) => side.runtime.podSandboxStatus({ pod_sandbox_id: of(made, side).pod }),
        ListPodSandbox: ({ runtime }) => runtime.listPodSandbox({}),
        ContainerStatus: (side) => side.runtime.containerStatus({ container_id: of(made, side).containers[0]! }),
        [`ListContainers (${FEW})`]: ({ runtime }) => runtime.listContainers({}),
        ImageStatus: ({ images }) => images.imageStatus(image),
        ListImages: ({ images }) => images.listImages({}),
        ImageFsInfo: ({ images }) => images.imageFsInfo({}),
      });
    });
  },
};

/** Makes each call once per round, so that a disturbance of the machine affects all of them. */
async function repeat(bench: Bench, calls: Readonly<Record<string, Read>>): Promise<void> {
  for (let count = -WARM_UP_READS; count < bench.rounds * READS_PER_ROUND; count++) {
    for (const [operation, call] of Object.entries(calls)) {
      await bench.recorder.pair(operation, call, { kept: count >= 0, settleMs: 0 });
    }
  }
}

interface Made {
  readonly pod: string;
  readonly containers: readonly string[];
}

/** Runs `work` with a pod of `count` created containers on each side. */
async function withContainers(bench: Bench, count: number, work: (made: Each<Made>) => Promise<void>): Promise<void> {
  const made = await onEach(bench.sides, async (side): Promise<Made> => {
    const pod = await runPod(bench, side);
    const containers: string[] = [];
    for (let index = 0; index < count; index++) {
      containers.push(await createContainer(bench, side, pod, `c${index}`));
    }
    return { pod: pod.id, containers };
  });
  await work(made);
  await onEach(bench.sides, (side) => removePod(side, of(made, side).pod));
}
