import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { writeContainerdConfig } from '../../../tools/stack/containerd-config.js';
import { until } from '../../../tools/stack/wait.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { assertGapless, grows, NUMBERED_WRITER } from './numbered-log.js';
import { runOnUsr1, signalUntilGone } from './processes.js';
import { assertTruth } from './truth.js';
import { exited, pidOf, viewOf } from './view.js';

const LIMIT_MS = 20_000;

/** Uses containerd's own CRI plugin and crid, alternately and together, over a containerd of this test. */
describe("pods of containerd's own CRI plugin", { timeout: 200_000 }, () => {
  let stack: Stack;
  let plugin: CriClient;
  let crid: Crid | undefined;
  let nothing: Inventory;

  before(async () => {
    stack = await startStack({ cri: true });
    plugin = criClient(stack.containerd.socket);
    await pluginAnswers();
    await pullImage(plugin);
    await (await runPod(plugin, stack)).remove();
    nothing = await leaks(stack);
  });
  afterEach(async () => {
    if (crid) {
      await removeAllPods(crid);
      await crid.stop();
      crid = undefined;
    }
    await restartContainerd(true);
    await removeAllPods(plugin);
    await assertLeavesNothing(stack, nothing);
  });
  after(async () => {
    plugin.close();
    await stack.dispose();
  });

  const pluginAnswers = (): Promise<unknown> =>
    until("containerd's CRI plugin is ready", LIMIT_MS, async () => {
      const { status } = await plugin.runtime.status({});
      // The condition ContainerdHasNoDeprecationWarnings may be false on a node that works.
      const ready = status?.conditions.filter(
        ({ type, status: isTrue }) => /^(Runtime|Network)Ready$/.test(type) && isTrue,
      );
      return ready?.length === 2 ? true : undefined;
    });
  const restartContainerd = async (cri: boolean): Promise<void> => {
    await stack.containerd.stop();
    await writeContainerdConfig(stack.layout, stack.containerd, stack.cniConfDir, { cri });
    await stack.containerd.start();
    if (cri) await pluginAnswers();
  };

  it('are adopted by crid', async () => {
    const pod = await runPod(plugin, stack, { labels: { app: 'web' }, annotations: { note: 'kept' } });
    const running = await pod.run({ labels: { role: 'main' } });
    const writer = await pod.run({ name: 'writer', command: NUMBERED_WRITER });
    const failing = await runOnUsr1(pod, 'failing', 'exit 7');
    const created = await pod.create();
    await exited(plugin, await pod.run({ command: ['sh', '-c', 'exit 3'] }));
    const stopped = await runPod(plugin, stack);
    await stopped.run();
    await plugin.runtime.stopPodSandbox({ pod_sandbox_id: stopped.id });
    await grows(pod.logPath('writer'), 100);
    const pid = await pidOf(plugin, failing);
    const seen = await viewOf(plugin);

    await restartContainerd(false);
    crid = await startCrid(stack);
    const adopted = await viewOf(crid);
    assert.deepEqual(adopted, seen);
    await assertTruth(crid, stack);

    const { length } = await readFile(pod.logPath('writer'));
    await until('its log goes on', LIMIT_MS, async () =>
      (await readFile(pod.logPath('writer'))).length > length ? true : undefined,
    );
    const answer = await crid.runtime.execSync({ container_id: running, cmd: ['echo', 'adopted'], timeout: 20n });
    assert.deepEqual([Buffer.from(answer.stdout).toString(), answer.exit_code], ['adopted\n', 0]);
    await signalUntilGone(pid, 'SIGUSR1');
    const end = await exited(crid, failing);
    assert.deepEqual([end.exit_code, end.reason], [7, 'Error']);
    await crid.runtime.startContainer({ container_id: created });
    await crid.runtime.stopContainer({ container_id: running, timeout: 10n });
    const { status } = await crid.runtime.containerStatus({ container_id: running });
    assert.deepEqual([status?.state, status?.exit_code], [ContainerState.CONTAINER_EXITED, 0]);
    await crid.runtime.stopContainer({ container_id: writer, timeout: 0n });
    await assertGapless(pod.logPath('writer'));

    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
  });

  it('and the plugin adopts those of crid', async () => {
    await restartContainerd(false);
    crid = await startCrid(stack);
    const pod = await runPod(crid, stack, { labels: { app: 'web' }, annotations: { note: 'kept' } });
    const running = await pod.run({ labels: { role: 'main' } });
    await pod.create();
    await exited(crid, await pod.run({ command: ['sh', '-c', 'exit 3'] }));
    const writer = await pod.run({ name: 'writer', command: NUMBERED_WRITER });
    const failing = await runOnUsr1(pod, 'failing', 'exit 7');
    const pid = await pidOf(crid, failing);
    await grows(pod.logPath('writer'), 100);
    const seen = await viewOf(crid);
    await crid.kill9();
    // Only crid can write the lines that the killed crid had read from the pipes (docs/logs.md), so start it again.
    await crid.start();
    await crid.settled();
    await crid.stop();
    crid = undefined;

    await restartContainerd(true);
    assert.deepEqual(await viewOf(plugin), seen);
    const answer = await plugin.runtime.execSync({ container_id: running, cmd: ['echo', 'back'], timeout: 20n });
    assert.deepEqual([Buffer.from(answer.stdout).toString(), answer.exit_code], ['back\n', 0]);
    await signalUntilGone(pid, 'SIGUSR1');
    const end = await exited(plugin, failing);
    assert.deepEqual([end.exit_code, end.reason], [7, 'Error']);
    await plugin.runtime.stopContainer({ container_id: writer, timeout: 0n });
    await assertGapless(pod.logPath('writer'), { splits: 1 });
    const ended = await viewOf(plugin);

    // Back to crid, which last saw the two as running.
    await restartContainerd(false);
    crid = await startCrid(stack);
    assert.deepEqual(await viewOf(crid), ended);
    await crid.stop();
    crid = undefined;
    await restartContainerd(true);
    assert.deepEqual(await viewOf(plugin), ended);
    await removeAllPods(plugin);
    await assertLeavesNothing(stack, nothing);
  });

  it('run beside those of crid: crid warns, and exit codes stay right', async () => {
    crid = await startCrid(stack);
    const { status } = await crid.runtime.status({});
    const conflict = status?.conditions.find(({ type }) => type === 'NoRuntimeConflict');
    assert.deepEqual([conflict?.status, conflict?.reason], [false, 'SharedNamespace']);
    assert.match(conflict?.message ?? '', /disabled_plugins/);
    const warnings = (await crid.logLines()).filter(
      ({ level, msg }) => level === 'warn' && /CRI plugin/.test(String(msg)),
    );
    // The plugin shares both the namespace and the plugins of NRI.
    assert.deepEqual(warnings.map(({ msg }) => /NRI/.test(String(msg))).sort(), [false, true]);

    const pod = await runPod(crid, stack);
    assert.equal(
      (await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id })).status?.state,
      PodSandboxState.SANDBOX_READY,
    );
    const codes = [0, 1, 2, 3, 42, 137, 143, 255];
    const ids = await Promise.all(codes.map((code) => pod.run({ command: ['sh', '-c', `sleep 0.2; exit ${code}`] })));
    const ends = [];
    for (const id of ids) ends.push((await exited(crid, id)).exit_code);
    assert.deepEqual(ends, codes);
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  });
});
