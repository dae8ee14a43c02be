import { createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import { onBoth } from './side.js';

const WARM_UP_ROUNDS = 2;
/** In seconds, as in the CRI. The container ends at the first signal. */
const GRACE_S = 30n;

/** Measures each call on one pod with one container, from its creation to its removal. */
export const lifecycle: Part = {
  name: 'lifecycle',
  operations: [
    'RunPodSandbox',
    'CreateContainer',
    'StartContainer',
    'ExecSync',
    'StopContainer',
    'RemoveContainer',
    'StopPodSandbox',
    'RemovePodSandbox',
  ],
  async run(bench) {
    for (let round = -WARM_UP_ROUNDS; round < bench.rounds; round++) await oneLife(bench, round >= 0);
  },
};

async function oneLife(bench: Bench, kept: boolean): Promise<void> {
  const { pair } = bench.recorder;
  const pods = await pair('RunPodSandbox', (side) => runPod(bench, side), { kept });
  const ids = await pair('CreateContainer', (side) => createContainer(bench, side, pods[side.key], 'main'), { kept });
  const container = (key: keyof typeof ids) => ({ container_id: ids[key] });
  const pod = (key: keyof typeof pods) => ({ pod_sandbox_id: pods[key].id });
  await pair('StartContainer', (side) => side.runtime.startContainer(container(side.key)), { kept });
  await pair(
    'ExecSync',
    async (side) => {
      const { exit_code } = await side.runtime.execSync({ ...container(side.key), cmd: ['true'], timeout: 10n });
      if (exit_code !== 0) throw new Error(`the command ended with ${exit_code}`);
    },
    { kept },
  );
  await pair('StopContainer', (side) => side.runtime.stopContainer({ ...container(side.key), timeout: GRACE_S }), {
    kept,
  });
  await pair('RemoveContainer', (side) => side.runtime.removeContainer(container(side.key)), { kept });
  await pair('StopPodSandbox', (side) => side.runtime.stopPodSandbox(pod(side.key)), { kept });
  await pair('RemovePodSandbox', (side) => side.runtime.removePodSandbox(pod(side.key)), { kept });
}

const START = 'pod start';
const END = 'container end';

/**
 * Sums that a user waits for: the sandbox with the container created and started; and StopContainer with
 * RemoveContainer, because either may do work that the other leaves.
 */
export const podStart: Part = {
  name: START,
  operations: [START, END],
  async run(bench) {
    for (let round = -1; round < bench.rounds; round++) {
      const pods = await bench.recorder.pair(
        START,
        async (side) => {
          const pod = await runPod(bench, side);
          const id = await createContainer(bench, side, pod, 'main');
          await side.runtime.startContainer({ container_id: id });
          return { pod, id };
        },
        { kept: round >= 0 },
      );
      await bench.recorder.pair(
        END,
        async (side) => {
          const container_id = pods[side.key].id;
          await side.runtime.stopContainer({ container_id, timeout: GRACE_S });
          await side.runtime.removeContainer({ container_id });
        },
        { kept: round >= 0 },
      );
      await onBoth(bench.sides, (side) => removePod(side, pods[side.key].pod.id), round % 2 === 0);
    }
  },
};
