import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { assertGapless, grows, NUMBERED_WRITER } from './numbered-log.js';
import { runOnUsr1, signalUntilGone, taskStopped } from './processes.js';
import { assertTruth } from './truth.js';
import { exited, pidOf, viewOf } from './view.js';

const KILLS = 10;
const MIB = 1024n * 1024n;

describe('a restart of crid', { timeout: 180_000 }, () => {
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
  afterEach(() => removeAllPods(crid));
  after(async () => {
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  const remove = async (pod: RunningPod): Promise<void> => {
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  };

  it('shows the same pods and containers, whether it was stopped or killed', async () => {
    const pod = await runPod(crid, stack, { labels: { app: 'web' }, annotations: { note: 'kept' } });
    const stopped = await runPod(crid, stack);
    const gone = await stopped.run();
    await crid.runtime.stopPodSandbox({ pod_sandbox_id: stopped.id });
    const running = await pod.run({ labels: { role: 'main' }, annotations: { restart: '0' } });
    await pod.create();
    await exited(crid, await pod.run({ command: ['sh', '-c', 'exit 3'] }));
    await exited(crid, await pod.run({ command: ['true'] }));
    const failed = await pod.create({ command: ['/no/such/program'] });
    await assert.rejects(crid.runtime.startContainer({ container_id: failed }));
    const seen = await viewOf(crid);
    assert.equal(Object.keys(seen).length, 8);

    await crid.restart();
    assert.deepEqual(await viewOf(crid), seen);
    await assertTruth(crid, stack);
    await crid.kill9();
    await crid.start();
    assert.deepEqual(await viewOf(crid), seen);
    await assertTruth(crid, stack);

    const exec = await pod.exec(running, ['echo', 'still here']);
    assert.deepEqual(exec, { stdout: 'still here\n', stderr: '', exitCode: 0 });
    assert.ok(gone in seen);
    await stopped.remove();
    await remove(pod);
  });

  it('loses and duplicates no line of a log, over 10 times kill -9', async () => {
    const pod = await runPod(crid, stack);
    const id = await pod.run({ name: 'writer', command: NUMBERED_WRITER });
    const path = pod.logPath('writer');
    let lines = await grows(path, 100);
    for (let kill = 1; kill <= KILLS; kill++) {
      await crid.kill9();
      await crid.start();
      lines = await grows(path, lines + 50);
    }
    await crid.runtime.stopContainer({ container_id: id, timeout: 0n });
    const written = await assertGapless(path);
    assert.ok(written >= lines);
    await remove(pod);
  });

  it('records exits that happened while it was down: code, reason and time', async () => {
    const pod = await runPod(crid, stack);
    const failing = await runOnUsr1(pod, 'failing', 'exit 7');
    const done = await runOnUsr1(pod, 'done', 'exit 0');
    const limit = { linux: { resources: { memory_limit_in_bytes: 24n * MIB, memory_swap_limit_in_bytes: 24n * MIB } } };
    const greedy = await runOnUsr1(pod, 'greedy', 'exec tail /dev/zero', limit);
    const pids = await Promise.all([failing, done, greedy].map((id) => pidOf(crid, id)));
    await crid.kill9();
    for (const pid of pids) await signalUntilGone(pid, 'SIGUSR1');
    for (const id of [failing, done, greedy]) await taskStopped(stack, id);
    const goneBy = BigInt(Date.now() + 1) * 1_000_000n;
    await crid.start();

    const ends = await Promise.all([failing, done, greedy].map((id) => exited(crid, id)));
    assert.deepEqual(
      ends.map((status) => [status.exit_code, status.reason, status.started_at < status.finished_at]),
      [
        [7, 'Error', true],
        [0, 'Completed', true],
        [137, 'OOMKilled', true],
      ],
    );
    for (const { finished_at: at } of ends) assert.ok(at <= goneBy, 'finished before the restart');
    await assertTruth(crid, stack);
    await remove(pod);
  });

  it('notices a pause process that ended while it was down', async () => {
    const pod = await runPod(crid, stack);
    const pid = await pidOf(crid, pod.id);
    await crid.kill9();
    await signalUntilGone(pid, 'SIGKILL');
    await crid.start();
    const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
    assert.equal(status?.state, PodSandboxState.SANDBOX_NOTREADY);
    await remove(pod);
  });

  it('stops and removes pods and containers of an earlier crid', async () => {
    const pod = await runPod(crid, stack);
    const id = await pod.run();
    await crid.kill9();
    await crid.start();
    await crid.runtime.stopContainer({ container_id: id, timeout: 10n });
    const { status } = await crid.runtime.containerStatus({ container_id: id });
    assert.deepEqual([status?.state, status?.exit_code], [ContainerState.CONTAINER_EXITED, 0]);
    await remove(pod);
  });
});
