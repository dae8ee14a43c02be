import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, Status } from 'nice-grpc';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { assertGapless, grows, NUMBERED_WRITER } from './numbered-log.js';
import { runOnUsr1, signalUntilGone } from './processes.js';
import { assertTruth } from './truth.js';
import { exited, pidOf, viewOf } from './view.js';

const AWAY_MS = 1500;

/** Uses a separate stack, because it restarts containerd. */
describe('a restart of containerd while crid runs', { timeout: 180_000 }, () => {
  let stack: Stack;
  let crid: Crid;
  let nothing: Inventory;

  before(async () => {
    stack = await startStack();
    crid = await startCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  afterEach(async () => {
    await stack.containerd.start();
    await removeAllPods(crid);
  });
  after(async () => {
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
    await stack.dispose();
  });

  for (const end of ['stop', 'kill'] as const) {
    it(`pods keep running, calls wait, and later exits are noticed (${end})`, async () => {
      const { runtime } = crid;
      const pod = await runPod(crid, stack);
      const [running, failing] = [await pod.run(), await runOnUsr1(pod, 'failing', 'exit 7')];
      const writer = await pod.run({ name: 'writer', command: NUMBERED_WRITER });
      await grows(pod.logPath('writer'), 100);
      const created = await pod.create();
      const pid = await pidOf(crid, failing);
      const seen = await viewOf(crid);

      await stack.containerd[end]();
      assert.equal((await runtime.listPodSandbox({})).items.length, 1, 'lists answer without containerd');
      assert.equal((await runtime.listContainers({})).containers.length, 4);
      const health = await runtime.status({});
      assert.deepEqual(
        health.status?.conditions.filter(({ status }) => !status).map(({ type }) => type),
        ['RuntimeReady'],
      );
      const waiting = Promise.all([
        runtime.startContainer({ container_id: created }),
        runtime.runPodSandbox({ config: await podConfig(stack) }),
        pod.create({ name: 'late' }),
        pod.exec(running, ['echo', 'waited']),
      ]);
      waiting.catch(() => undefined);
      await sleep(AWAY_MS);
      await stack.containerd.start();
      const [, , , exec] = await waiting;
      assert.equal(exec.stdout, 'waited\n');

      const now = await viewOf(crid);
      const others = Object.keys(seen).filter((id) => id !== created);
      assert.deepEqual(
        others.map((id) => now[id]),
        others.map((id) => seen[id]),
      );
      await signalUntilGone(pid, 'SIGUSR1');
      const { exit_code: code, reason } = await exited(crid, failing);
      assert.deepEqual([code, reason], [7, 'Error']);
      await runtime.stopContainer({ container_id: writer, timeout: 0n });
      await assertGapless(pod.logPath('writer'));
      await assertTruth(crid, stack);
      await removeAllPods(crid);
      await assertLeavesNothing(stack, nothing);
    });
  }

  it('an exit while containerd is down is noticed when it is back', async () => {
    const pod = await runPod(crid, stack);
    const id = await runOnUsr1(pod, 'failing', 'exit 5');
    const pid = await pidOf(crid, id);
    await stack.containerd.kill();
    await signalUntilGone(pid, 'SIGUSR1');
    await stack.containerd.start();
    const { exit_code: code, reason } = await exited(crid, id);
    assert.deepEqual([code, reason], [5, 'Error']);
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  });

  it('a call does not wait for ever', async () => {
    const pod = await runPod(crid, stack);
    const id = await pod.run();
    await stack.containerd.stop();
    await assert.rejects(pod.exec(id, ['true']), (error) => {
      assert.ok(error instanceof ClientError, String(error));
      assert.equal(error.code, Status.UNAVAILABLE);
      assert.ok(error.details.includes(stack.containerd.socket), error.details);
      return true;
    });
  });
});
