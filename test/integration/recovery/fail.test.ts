import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { containerConfig, podConfig, pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { PHASES, startFaultyCrid, stepsOf, type FaultyCrid } from './faults.js';
import { assertTruth } from './truth.js';

describe('each step that fails is reported, undone, and leaves its name free', { timeout: 400_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;
  let pod: RunningPod;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
    pod = await runPod(crid, stack);
  });
  after(async () => {
    await crid.clearFault();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  /** Runs `attempt` with a fault at each step that `clean` executes. */
  const failEachStep = async (
    kind: string,
    clean: () => Promise<unknown>,
    attempt: (step: string) => Promise<unknown>,
  ): Promise<void> => {
    const idle = await leaks(stack);
    for (const step of await stepsOf(crid, kind, clean)) {
      for (const phase of PHASES) {
        const where = `${kind}/${step}:${phase}`;
        await crid.setFault(`${where}=fail`);
        try {
          await attempt(step);
        } catch (error) {
          throw new Error(`failed at ${where}: ${String(error)}`, { cause: error });
        }
      }
    }
    await assertLeavesNothing(stack, idle);
  };
  const names = (step: string) => (error: Error) => error.message.includes(step);

  it('run pod sandbox', async () => {
    const { runtime } = crid;
    const remove = async (id: string): Promise<void> => void (await runtime.removePodSandbox({ pod_sandbox_id: id }));
    const idle = await leaks(stack);
    const clean = async (): Promise<void> => (await runPod(crid, stack)).remove();
    await failEachStep('run pod sandbox', clean, async (step) => {
      const config = await podConfig(stack);
      await assert.rejects(runtime.runPodSandbox({ config }), names(step));
      await assertLeavesNothing(stack, idle);
      await assertTruth(crid, stack);
      await crid.clearFault();
      const { pod_sandbox_id: id } = await runtime.runPodSandbox({ config });
      const { status } = await runtime.podSandboxStatus({ pod_sandbox_id: id });
      assert.equal(status?.state, PodSandboxState.SANDBOX_READY);
      await remove(id);
    });
  });

  it('create container', async () => {
    const { runtime } = crid;
    const idle = await leaks(stack);
    const clean = async (): Promise<unknown> => runtime.removeContainer({ container_id: await pod.create() });
    await failEachStep('create container', clean, async (step) => {
      const request = { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config };
      await assert.rejects(runtime.createContainer(request), names(step));
      await assertLeavesNothing(stack, idle);
      await assertTruth(crid, stack);
      await crid.clearFault();
      await runtime.removeContainer(await runtime.createContainer(request));
    });
  });

  it('start container', async () => {
    const { runtime } = crid;
    const clean = async (): Promise<unknown> => runtime.removeContainer({ container_id: await pod.run() });
    await failEachStep('start container', clean, async (step) => {
      const request = { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config };
      const created = await runtime.createContainer(request);
      const withContainer = await leaks(stack);
      await assert.rejects(runtime.startContainer(created), names(step));
      await assertLeavesNothing(stack, withContainer);
      await assertTruth(crid, stack);
      const { status } = await runtime.containerStatus(created);
      assert.deepEqual(
        { state: status?.state, exitCode: status?.exit_code, reason: status?.reason },
        { state: ContainerState.CONTAINER_EXITED, exitCode: 128, reason: 'StartError' },
      );
      assert.ok(status?.message.includes(step), status?.message);
      await crid.clearFault();
      // A container starts only once: the next attempt uses a new container with the same name.
      await runtime.removeContainer(created);
      const again = await runtime.createContainer(request);
      await runtime.startContainer(again);
      await runtime.removeContainer(again);
    });
  });
});
