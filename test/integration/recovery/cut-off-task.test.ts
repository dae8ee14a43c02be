import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { IS_PINNED } from '../../harness/sandboxer.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { createSlowRunc, MODES, type Mode, type SlowRunc } from './slow-runc.js';
import { assertTruth } from './truth.js';

const NO_PAUSE = IS_PINNED && 'the run of such a pod needs no OCI runtime; pinned/first-container has the start';

describe('kill -9 while the OCI runtime creates a container', { timeout: 300_000 }, () => {
  let stack: TestStack;
  let crid: Crid;
  let nothing: Inventory;
  let runc: SlowRunc;

  before(async () => {
    stack = await testStack();
    runc = await createSlowRunc(stack);
    crid = await startCrid(stack, {
      config: {
        runtime: {
          containerd: {
            runtimes: { slow: { runtime_type: 'io.containerd.runc.v2', options: { BinaryName: runc.program } } },
          },
        },
      },
    });
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  after(async () => {
    await runc.pass();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  /** Kills crid at the moment that `mode` names, while `call` waits for the runtime. */
  const killIn = async (mode: Mode, call: () => Promise<unknown>): Promise<void> => {
    await runc.hang(mode);
    const called = call();
    called.catch(() => undefined);
    await runc.reached();
    await runc.pass();
    await crid.kill9();
    await assert.rejects(called);
    await crid.start();
    await crid.settled();
  };

  for (const mode of MODES) {
    for (const isStartedAgain of [true, false]) {
      it(`a container, ${mode} its init process is there, ${isStartedAgain ? 'started again' : 'removed at once'}`, async () => {
        const pod = await runPod(crid, stack, {}, 'slow');
        const running = await pod.run();
        const idle = await leaks(stack);
        const id = await pod.create();
        await killIn(mode, () => crid.runtime.startContainer({ container_id: id }));
        await assertTruth(crid, stack);
        const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
        assert.equal(status?.state, PodSandboxState.SANDBOX_READY);
        if (isStartedAgain) await crid.runtime.startContainer({ container_id: id });
        await crid.runtime.removeContainer({ container_id: id });
        await assertLeavesNothing(stack, idle);
        assert.equal((await pod.exec(running, ['echo', 'well'])).stdout, 'well\n');
        await pod.remove();
        await assertLeavesNothing(stack, nothing);
      });
    }
    it(`a pod, ${mode} its init process is there`, { skip: NO_PAUSE }, async () => {
      const config = await podConfig(stack);
      const request = { config, runtime_handler: 'slow' };
      await killIn(mode, () => crid.runtime.runPodSandbox(request));
      await assertTruth(crid, stack);
      await assertLeavesNothing(stack, nothing);
      const { pod_sandbox_id: id } = await crid.runtime.runPodSandbox(request);
      await crid.runtime.stopPodSandbox({ pod_sandbox_id: id });
      await crid.runtime.removePodSandbox({ pod_sandbox_id: id });
      await assertLeavesNothing(stack, nothing);
    });
  }
});
