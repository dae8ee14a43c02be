import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamespaceMode, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { cgroupParent, SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { shimsOf } from '../../../tools/stack/leftovers.js';
import { until } from '../../../tools/stack/wait.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { podConfig, runPod } from '../../harness/pod.js';
import { limitMs } from '../../harness/slowness.js';
import { failureOf } from '../rpc/suite.js';
import { startBeside } from './own-stack.js';

/** `podsandbox` works only in the namespace k8s.io, and knows only the handlers of containerd's configuration. */
const beside = startBeside(({ runcPath }) => {
  const runc = { runtime_type: 'io.containerd.runc.v2', options: { BinaryName: runcPath } };
  return {
    config: {
      runtime: {
        containerd: {
          runtimes: {
            runc: { ...runc, sandboxer: 'podsandbox' },
            paused: runc,
            sandboxed: { ...runc, sandboxer: 'shim' },
            lost: { ...runc, sandboxer: 'no-such-controller' },
          },
        },
      },
    },
  };
});

/** With systemd, containerd's controller starts no pod without a cgroup parent. */
const PARENT = SYSTEMD_CGROUPS ? { linux: { cgroup_parent: cgroupParent('crid-test-sandboxer') } } : {};

const stateOf = async (id: string): Promise<PodSandboxState | undefined> =>
  (await beside.crid.runtime.podSandboxStatus({ pod_sandbox_id: id })).status?.state;

test('a pod of a sandbox controller of containerd: containers, a restart, its end', async () => {
  const before = await leaks(beside.stack);
  const pod = await runPod(beside.crid, beside.stack, PARENT);
  const id = await pod.run({ linux: { security_context: { namespace_options: { pid: NamespaceMode.POD } } } });
  assert.equal((await pod.exec(id, ['cat', '/proc/1/comm'])).stdout, 'pause\n');
  assert.match((await pod.exec(id, ['cat', '/etc/hosts', '/etc/resolv.conf'])).stdout, /localhost|nameserver/);
  const { status } = await beside.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.match((await pod.exec(id, ['ip', 'a'])).stdout, new RegExp(status?.network?.ip ?? 'no address'));
  await beside.crid.restart();
  assert.equal(await stateOf(pod.id), PodSandboxState.SANDBOX_READY);
  const { info } = await beside.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  assert.equal((JSON.parse(info['info'] ?? '') as { sandboxer: string }).sandboxer, 'podsandbox');
  await pod.run();
  await pod.remove();
  await assertLeavesNothing(beside.stack, before);
});

test('the end of a sandbox is learned from its controller', async () => {
  const before = await leaks(beside.stack);
  const pod = await runPod(beside.crid, beside.stack, PARENT);
  const { info } = await beside.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  process.kill((JSON.parse(info['info'] ?? '') as { pid: number }).pid, 'SIGKILL');
  await until(
    'the pod is not ready',
    limitMs(20_000),
    async () => (await stateOf(pod.id)) === PodSandboxState.SANDBOX_NOTREADY || undefined,
  );
  await pod.remove();
  await assertLeavesNothing(beside.stack, before);
});

test('beside it, a handler with a pause container', async () => {
  const pod = await runPod(beside.crid, beside.stack, {}, 'paused');
  await pod.run();
  await pod.remove();
});

for (const handler of ['sandboxed', 'lost']) {
  test(`a controller that cannot run the pod (${handler}): an error, and nothing left behind`, async () => {
    const before = await leaks(beside.stack);
    const shims = (await shimsOf(beside.stack.containerd.socket)).length;
    const config = await podConfig(beside.stack);
    const failure = await failureOf(beside.crid.runtime.runPodSandbox({ config, runtime_handler: handler }));
    assert.match(failure.message, /create sandbox|start sandbox/);
    await assertLeavesNothing(beside.stack, before);
    assert.equal((await shimsOf(beside.stack.containerd.socket)).length, shims);
  });
}
