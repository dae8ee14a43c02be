import { createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import { of, onEach, type Each, type Side } from './side.js';

const WARM_UP_ROUNDS = 2;
/** In seconds, as in the CRI. The container ends at the first signal. */
const GRACE_S = 30n;

export const LIFE = [
  'RunPodSandbox',
  'CreateContainer',
  'StartContainer',
  'ExecSync',
  'StopContainer',
  'RemoveContainer',
  'StopPodSandbox',
  'RemovePodSandbox',
] as const;

/** Measures each call on one pod with one container, from its creation to its removal. */
export const lifecycle: Part = {
  name: 'lifecycle',
  operations: LIFE,
  async run(bench) {
    for (let round = -WARM_UP_ROUNDS; round < bench.rounds; round++) await oneLife(bench, round >= 0);
  },
};

/** `named` returns the name under which an operation is recorded. */
export async function oneLife(
  bench: Bench,
  kept: boolean,
  named: (operation: (typeof LIFE)[number]) => string = (operation) => operation,
): Promise<void> {
  const pair = <T>(operation: (typeof LIFE)[number], call: (side: Side) => Promise<T>): Promise<Each<T>> =>
    bench.recorder.pair(named(operation), call, { kept });
  const pods = await pair('RunPodSandbox', (side) => runPod(bench, side));
  const ids = await pair('CreateContainer', (side) => createContainer(bench, side, of(pods, side), 'main'));
  const container = (side: Side) => ({ container_id: of(ids, side) });
  const pod = (side: Side) => ({ pod_sandbox_id: of(pods, side).id });
  await pair('StartContainer', (side) => side.runtime.startContainer(container(side)));
  await pair('ExecSync', async (side) => {
    const { exit_code } = await side.runtime.execSync({ ...container(side), cmd: ['true'], timeout: 10n });
    if (exit_code !== 0) throw new Error(`the command ended with ${exit_code}`);
  });
  await pair('StopContainer', (side) => side.runtime.stopContainer({ ...container(side), timeout: GRACE_S }));
  await pair('RemoveContainer', (side) => side.runtime.removeContainer(container(side)));
  await pair('StopPodSandbox', (side) => side.runtime.stopPodSandbox(pod(side)));
  await pair('RemovePodSandbox', (side) => side.runtime.removePodSandbox(pod(side)));
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
          const container_id = of(pods, side).id;
          await side.runtime.stopContainer({ container_id, timeout: GRACE_S });
          await side.runtime.removeContainer({ container_id });
        },
        { kept: round >= 0 },
      );
      await onEach(bench.sides, (side) => removePod(side, of(pods, side).pod.id), round + 1);
    }
  },
};
