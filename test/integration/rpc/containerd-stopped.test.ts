import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../../tools/stack/wait.js';
import { ContainerState, RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { containerConfig, podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';
import { callWithin } from './deadline.js';

const LIMIT_MS = 30_000;
const { runPodSandbox } = RuntimeServiceDefinition.methods;

let stack: Stack;
let crid: Crid;
let baseline: Inventory;

before(async () => {
  // A separate stack, because this file stops its containerd.
  stack = await startStack({ registryUrl: (await testStack()).registry.url });
  crid = await startCrid(stack);
  await pullImage(crid);
  baseline = await leaks(stack);
});
// Even after a failed test, the next one needs containerd.
afterEach(() => stack.containerd.start());
after(async () => {
  try {
    await removeAllPods(crid);
    await assertLeavesNothing(stack, baseline);
  } finally {
    await crid.stop();
    crid.close();
    await stack.dispose();
  }
});

test('while containerd is stopped: reads work, Status reports it, changes wait and name the cause', async () => {
  const pod = await runPod(crid, stack);
  const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done';
  const id = await pod.run({ name: 'writer', command: ['sh', '-c', script] });
  await stack.containerd.stop();

  const { items } = await crid.runtime.listPodSandbox({});
  const { status } = await crid.runtime.containerStatus({ container_id: id });
  const { status: runtime } = await crid.runtime.status({});
  const condition = runtime?.conditions.find(({ type }) => type === 'RuntimeReady');
  assert.deepEqual(
    [
      items.map((item) => item.id),
      status?.state,
      condition?.status,
      condition?.message.includes(stack.containerd.socket),
    ],
    [[pod.id], ContainerState.CONTAINER_RUNNING, false, true],
    condition?.message,
  );
  const request = { config: await podConfig(stack), runtime_handler: '' };
  const { code, message } = await callWithin(crid.socket, runPodSandbox, request, 2_000);
  assert.deepEqual([code, message.includes(request.config.metadata!.name)], ['DEADLINE_EXCEEDED', true], message);

  const retry = crid.runtime.runPodSandbox(request);
  await stack.containerd.start();
  const { pod_sandbox_id: made } = await retry;
  assert.deepEqual((await pod.exec(id, ['echo', 'back'])).stdout, 'back\n');
  await crid.runtime.stopContainer({ container_id: id, timeout: 0n });
  const lines = (await readFile(pod.logPath('writer'), 'utf8')).trim().split('\n');
  assert.deepEqual(
    lines.map((line) => Number(line.split(' ')[3])),
    lines.map((_, index) => index + 1),
  );
  await crid.runtime.removePodSandbox({ pod_sandbox_id: made });
  await pod.remove();
  await assertLeavesNothing(stack, baseline);
});

test('containerd stopped in the middle of calls: each succeeds or can be retried, and nothing is left behind', async () => {
  const pod = await runPod(crid, stack);
  const configs = await Promise.all([1, 2, 3].map(() => podConfig(stack)));
  const container = containerConfig();
  const create = (): Promise<{ container_id: string }> =>
    crid.runtime.createContainer({ pod_sandbox_id: pod.id, config: container, sandbox_config: pod.config });
  const first = Promise.allSettled([...configs.map((config) => crid.runtime.runPodSandbox({ config })), create()]);
  await sleep(100);
  await stack.containerd.stop();
  await sleep(300);
  await stack.containerd.start();
  const outcomes = await first;
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected')
      assert.match(String(outcome.reason), /UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|UNKNOWN/);
  }
  for (const config of configs) {
    await until(`${config.metadata?.name} runs`, LIMIT_MS, () => crid.runtime.runPodSandbox({ config }), 500);
  }
  const { container_id: id } = await until('the container is made', LIMIT_MS, create, 500);
  await crid.runtime.startContainer({ container_id: id });
  const { items } = await crid.runtime.listPodSandbox({});
  assert.equal(items.length, configs.length + 1);
  await removeAllPods(crid);
  await assertLeavesNothing(stack, baseline);
});

test('a container that ends while containerd is down is noticed, with its exit code if containerd still has it', async () => {
  const pod = await runPod(crid, stack);
  const id = await pod.run({ command: ['sh', '-c', 'sleep 1; exit 9'] });
  await stack.containerd.kill();
  await sleep(1_500);
  await stack.containerd.start();
  const status = await until('the exit is known', LIMIT_MS, async () => {
    const { status } = await crid.runtime.containerStatus({ container_id: id });
    return status?.state === ContainerState.CONTAINER_EXITED ? status : undefined;
  });
  // A restarted containerd deletes ended tasks; the exit code is known only if the shim's event arrives in time.
  assert.match(`${status.exit_code} ${status.reason}`, /^(9 Error|255 Unknown)$/);
  await pod.remove();
});
