import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { unmount } from '../../../src/host/mount/mount-calls.js';
import { until } from '../../../tools/stack/wait.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { podConfig, pullImage, removeAllPods } from '../../harness/pod.js';
import { limitMs } from '../../harness/slowness.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { startFaultyCrid, stepsOf, type FaultyCrid } from '../recovery/faults.js';
import { ownPids, PINNED_CONFIG, pinnedPod } from './pinned-pod.js';

/** A stack of its own, because a test restarts containerd. */
let stack: Stack;
let crid: FaultyCrid;
let nothing: Inventory;
before(async () => {
  stack = await startStack();
  crid = await startFaultyCrid(stack, { config: PINNED_CONFIG });
  await pullImage(crid);
  nothing = await leaks(stack);
});
after(async () => {
  await crid.clearFault();
  await removeAllPods(crid);
  await assertLeavesNothing(stack, nothing);
  await crid.stop();
  await stack.dispose();
});

const RUN = 'run pod sandbox';
const STOP = 'stop pod sandbox';

const remove = async (id: string): Promise<void> => void (await crid.runtime.removePodSandbox({ pod_sandbox_id: id }));
const stateOf = async (id: string): Promise<PodSandboxState | undefined> =>
  (await crid.runtime.podSandboxStatus({ pod_sandbox_id: id })).status?.state;
const containerState = async (id: string): Promise<ContainerState | undefined> =>
  (await crid.runtime.containerStatus({ container_id: id })).status?.state;

test('kill -9 after each step of RunPodSandbox: the next crid has the whole pod or nothing of it', async () => {
  const steps = await stepsOf(crid, RUN, async () => remove((await pinnedPod(crid, stack)).id));
  assert.ok(steps.includes('create namespaces') && steps.includes('set sysctls'), steps.join());
  for (const step of steps) {
    const config = await podConfig(stack, ownPids({}));
    await crid.setFault(`${RUN}/${step}:after=kill`);
    await assert.rejects(crid.runtime.runPodSandbox({ config }));
    await crid.revive();
    const isComplete = step === 'record completion';
    const { items } = await crid.runtime.listPodSandbox({});
    assert.deepEqual(
      items.map(({ state }) => state),
      isComplete ? [PodSandboxState.SANDBOX_READY] : [],
      step,
    );
    if (!isComplete) await assertLeavesNothing(stack, nothing);
    const { pod_sandbox_id: id } = await crid.runtime.runPodSandbox({ config });
    assert.equal(await stateOf(id), PodSandboxState.SANDBOX_READY);
    await remove(id);
  }
  await assertLeavesNothing(stack, nothing);
});

test('each step of RunPodSandbox that fails is named, and nothing is left', async () => {
  const steps = await stepsOf(crid, RUN, async () => remove((await pinnedPod(crid, stack)).id));
  for (const step of steps) {
    await crid.setFault(`${RUN}/${step}:after=fail`);
    await assert.rejects(pinnedPod(crid, stack), (error: Error) => error.message.includes(step));
    await crid.clearFault();
    await assertLeavesNothing(stack, nothing);
  }
});

test('kill -9 after each step of StopPodSandbox: the pod is not ready in the end, and can be removed', async () => {
  const steps = await stepsOf(crid, STOP, async () => {
    const pod = await pinnedPod(crid, stack);
    await crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
    await remove(pod.id);
  });
  for (const step of steps) {
    const pod = await pinnedPod(crid, stack);
    const app = await pod.run();
    await crid.setFault(`${STOP}/${step}:after=kill`);
    await assert.rejects(crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id }));
    await crid.revive();
    await crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
    assert.deepEqual(
      [await stateOf(pod.id), await containerState(app)],
      [PodSandboxState.SANDBOX_NOTREADY, ContainerState.CONTAINER_EXITED],
      step,
    );
    await remove(pod.id);
  }
  await assertLeavesNothing(stack, nothing);
});

test('containers come and go: the shim ends with the last, also when the first goes first, and the next brings one', async () => {
  const pod = await pinnedPod(crid, stack);
  const [first, second] = [await pod.run(), await pod.run()];
  const stop = async (id: string): Promise<void> => {
    await crid.runtime.stopContainer({ container_id: id, timeout: 0n });
    await crid.runtime.removeContainer({ container_id: id });
  };
  await stop(first);
  assert.equal((await pod.exec(second, ['echo', 'here'])).stdout, 'here\n');
  const third = await pod.run();
  assert.equal((await pod.exec(third, ['hostname'])).exitCode, 0);
  await Promise.all([stop(second), stop(third)]);
  await until('the shim has ended', limitMs(20_000), async () => (await leaks(stack)).shim.length === 0 || undefined);
  // A create right after the last delete, ten times.
  for (let round = 0; round < 10; round += 1) await stop(await pod.run());
  await pod.remove();
  await assertLeavesNothing(stack, nothing);
});

test('a restart of containerd: idle pods and containers stay, exits are seen, and more containers start', async () => {
  const [pod, idle] = [await pinnedPod(crid, stack), await pinnedPod(crid, stack)];
  const [first, second] = [await pod.run(), await pod.run()];
  await crid.runtime.stopContainer({ container_id: first, timeout: 0n });
  await crid.runtime.removeContainer({ container_id: first });
  await stack.containerd.kill();
  await stack.containerd.start();
  assert.equal((await pod.exec(second, ['echo', 'here'])).stdout, 'here\n');
  await pod.run();
  await idle.run();
  assert.deepEqual(
    [await stateOf(pod.id), await stateOf(idle.id)],
    [PodSandboxState.SANDBOX_READY, PodSandboxState.SANDBOX_READY],
  );
  await pod.exec(second, ['sh', '-c', 'kill -TERM 1']);
  await until(
    'the exit is seen',
    limitMs(20_000),
    async () => (await containerState(second)) === ContainerState.CONTAINER_EXITED || undefined,
  );
  await pod.remove();
  await idle.remove();
  await assertLeavesNothing(stack, nothing);
});

test('without one of its bindings, as after a reboot, a pod is not ready at the next start, and its address is free', async () => {
  const pod = await pinnedPod(crid, stack);
  await crid.kill9();
  const state = join(stack.containerd.state, 'io.containerd.grpc.v1.cri', 'sandboxes', pod.id);
  await unmount(join(state, 'pinned-namespaces', 'ipc'), { detach: true });
  await crid.start();
  await crid.settled();
  assert.equal(await stateOf(pod.id), PodSandboxState.SANDBOX_NOTREADY);
  await crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  assert.deepEqual((await leaks(stack))['IP address'], nothing['IP address']);
  await remove(pod.id);
  await assertLeavesNothing(stack, nothing);
});
