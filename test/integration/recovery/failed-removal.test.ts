import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { prompt } from './calls.js';
import { startFaultyCrid, type FaultyCrid } from './faults.js';

describe('the removal of a container that runs fails half-way', { timeout: 120_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  afterEach(async () => {
    await crid.clearFault();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
  });
  after(() => crid.stop());

  for (const step of ['close streams', 'remove snapshot', 'delete record']) {
    it(`at "${step}": it is reported as killed, can be stopped, and removed again with its pod`, async () => {
      const { runtime } = crid;
      const pod = await runPod(crid, stack);
      const [container_id, other] = [await pod.run(), await pod.run()];
      for (const id of [container_id, other]) {
        await crid.setFault(`remove container/${step}:before=fail`);
        await assert.rejects(runtime.removeContainer({ container_id: id }), ({ message }: Error) =>
          message.includes(step),
        );
        await crid.clearFault();
        const { status } = await runtime.containerStatus({ container_id: id });
        assert.deepEqual([status?.state, status?.exit_code], [ContainerState.CONTAINER_EXITED, 137]);
      }
      await runtime.stopContainer({ container_id, timeout: 10n }, prompt());
      await runtime.removeContainer({ container_id }, prompt());
      // The removal of the pod removes the other container.
      await runtime.stopPodSandbox({ pod_sandbox_id: pod.id }, prompt());
      await runtime.removePodSandbox({ pod_sandbox_id: pod.id }, prompt());
    });
  }
});
