import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { ContainerState, NamespaceMode, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { ctr, signalUntilGone } from './processes.js';
import { exited, pidOf } from './view.js';

const LIMIT_MS = 20_000;

describe('other programs change pods', { timeout: 120_000 }, () => {
  let stack: TestStack;
  let crid: Crid;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    crid = await startCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  afterEach(async () => {
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
  });
  after(() => crid.stop());

  it('a pod whose pause process is killed is not ready, and can be stopped and removed', async () => {
    const pod = await runPod(crid, stack);
    // With a separate pid namespace this container survives the pause process. It uses the same shim.
    const container = await pod.run({
      linux: { security_context: { namespace_options: { pid: NamespaceMode.CONTAINER } } },
    });
    await signalUntilGone(await pidOf(crid, pod.id), 'SIGKILL');
    await until('the pod is not ready', LIMIT_MS, async () => {
      const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
      return status?.state === PodSandboxState.SANDBOX_NOTREADY ? true : undefined;
    });
    const { status } = await crid.runtime.containerStatus({ container_id: container });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    const exec = await pod.exec(container, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await pod.remove();
  });

  it('a container whose process is killed from outside shows 137', async () => {
    const pod = await runPod(crid, stack);
    const id = await pod.run();
    await signalUntilGone(await pidOf(crid, id), 'SIGKILL');
    const { exit_code: code, reason } = await exited(crid, id);
    assert.deepEqual([code, reason], [137, 'Error']);
    await pod.remove();
  });

  it('a container whose task another client deletes while crid is down ends as Unknown, 255', async () => {
    const pod = await runPod(crid, stack);
    const [id, other] = [await pod.run(), await pod.run()];
    await crid.kill9();
    await ctr(stack, 'tasks', 'delete', '--force', id);
    await crid.start();
    await crid.settled();
    const { exit_code: code, reason } = await exited(crid, id);
    assert.deepEqual([code, reason], [255, 'Unknown']);
    const exec = await pod.exec(other, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await pod.remove();
  });

  it('a container whose task another client deletes while crid runs ends, and crid continues', async () => {
    const pod = await runPod(crid, stack);
    const [id, other] = [await pod.run(), await pod.run()];
    // After the kill, crid deletes the task too. The second deletion fails with "not found" or because the shim closed
    // its connection.
    await ctr(stack, 'tasks', 'delete', '--force', id).catch((error: Error) => {
      assert.match(error.message, /not found|ttrpc: closed/);
    });
    const { exit_code: code, reason } = await exited(crid, id);
    // The exit code is 137 if crid saw the kill before the deletion.
    assert.ok((code === 137 && reason === 'Error') || (code === 255 && reason === 'Unknown'), `${code} ${reason}`);
    const exec = await pod.exec(other, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await crid.runtime.removeContainer({ container_id: id });
    await pod.remove();
  });
});
