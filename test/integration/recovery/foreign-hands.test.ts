import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ContainerState, NamespaceMode, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { runPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';
import { ctr, signalUntilGone } from './processes.js';
import { exited, pidOf } from './view.js';

const LIMIT_MS = 20_000;

describe('other programs change pods', { timeout: 120_000 }, () => {
  const suite = startSuite({ isEmptiedAfterEach: true });

  it('a pod whose pause process is killed is not ready, and can be stopped and removed', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    // With a separate pid namespace this container survives the pause process. It uses the same shim.
    const container = await pod.run({
      linux: { security_context: { namespace_options: { pid: NamespaceMode.CONTAINER } } },
    });
    await signalUntilGone(await pidOf(suite.crid, pod.id), 'SIGKILL');
    await until('the pod is not ready', LIMIT_MS, async () => {
      const { status } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
      return status?.state === PodSandboxState.SANDBOX_NOTREADY ? true : undefined;
    });
    const { status } = await suite.crid.runtime.containerStatus({ container_id: container });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    const exec = await pod.exec(container, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await pod.remove();
  });

  it('a container whose process is killed from outside shows 137', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const id = await pod.run();
    await signalUntilGone(await pidOf(suite.crid, id), 'SIGKILL');
    const { exit_code: code, reason } = await exited(suite.crid, id);
    assert.deepEqual([code, reason], [137, 'Error']);
    await pod.remove();
  });

  it('a container whose task another client deletes while crid is down ends as Unknown, 255', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const [id, other] = [await pod.run(), await pod.run()];
    await suite.crid.kill9();
    await ctr(suite.stack, 'tasks', 'delete', '--force', id);
    await suite.crid.start();
    await suite.crid.settled();
    const { exit_code: code, reason } = await exited(suite.crid, id);
    assert.deepEqual([code, reason], [255, 'Unknown']);
    const exec = await pod.exec(other, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await pod.remove();
  });

  it('a container whose task another client deletes while crid runs ends, and crid continues', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const [id, other] = [await pod.run(), await pod.run()];
    // After the kill, crid deletes the task too. The second deletion fails with "not found" or because the shim closed
    // its connection.
    await ctr(suite.stack, 'tasks', 'delete', '--force', id).catch((error: Error) => {
      assert.match(error.message, /not found|ttrpc: closed/);
    });
    const { exit_code: code, reason } = await exited(suite.crid, id);
    // The exit code is 137 if crid saw the kill before the deletion.
    assert.ok((code === 137 && reason === 'Error') || (code === 255 && reason === 'Unknown'), `${code} ${reason}`);
    const exec = await pod.exec(other, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await suite.crid.runtime.removeContainer({ container_id: id });
    await pod.remove();
  });
});
