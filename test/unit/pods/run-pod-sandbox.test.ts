import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { createMemoryNode, type MemoryNode } from '../../harness/memory-node/memory-node.js';
import { CALLER, podRequest, runPod } from '../../harness/memory-node/requests.js';
import { faultAt, momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';

const KIND = 'run pod sandbox';
const STEPS = [
  'record sandbox',
  'create lease',
  'create namespaces',
  'add network',
  'ensure pause image',
  'make pod files',
  'prepare pause snapshot',
  'record pause container',
  'create pause task',
  'start pause task',
  'record network',
  'record completion',
];

let node: MemoryNode;
let crid: MemoryCrid;
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
});
afterEach(() => node.remove());

test('RunPodSandbox runs its steps in this order, and the pod is ready', async () => {
  const id = await runPod(crid);
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
  const { containerd } = await node.dump();
  assert.deepEqual(
    {
      state: crid.state.pods.byId(id)?.state.phase,
      ips: crid.state.pods.byId(id)?.network?.ips,
      sandbox: (containerd['sandboxes']?.[id] as { labels: object }).labels,
      task: (containerd['tasks']?.[id] as { status: string }).status,
      lease: containerd['leases']?.[id],
    },
    {
      state: 'ready',
      ips: ['10.0.0.1'],
      // Without io.crid.creating: the pod is complete.
      sandbox: { name: 'web_shop_uid-of-web_0' },
      task: 'running',
      lease: { labels: { 'io.crid.pod': 'true' }, resources: [`snapshots/overlayfs ${id}`] },
    },
  );
});

test('at the end of every step of RunPodSandbox, something protects each snapshot from the garbage collector', async () => {
  const unprotected: string[] = [];
  crid.steps.onStep((step) => unprotected.push(...node.containerd.garbage().map((each) => `${step}: ${each}`)));
  await runPod(crid);
  assert.deepEqual(unprotected, []);
});

test('a pod counts as starting from before its network is added until it is listed', async () => {
  const starting: [string, string[]][] = [];
  crid.steps.onStep((step) => starting.push([step, [...crid.state.starting]]));
  const id = await runPod(crid);
  const during = starting.filter(([step]) => /network|namespaces|completion/.test(step)).map(([, ids]) => ids);
  assert.deepEqual(during, [[id], [id], [id], [id]]);
  assert.deepEqual([...crid.state.starting], []);
});

for (const moment of momentsOf(KIND, STEPS)) {
  test(`RunPodSandbox that fails ${nameOf(moment)} leaves the node as it was`, async () => {
    const before = await node.dump();
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(runPod(crid), { message: new RegExp(`fault injected at ${KIND}: ${moment.step}$`) });
    assert.deepEqual(await node.dump(), before);
    assert.deepEqual([crid.state.pods.list(), [...crid.state.starting]], [[], []]);
    crid.steps.setFault('');
    assert.ok(await runPod(crid));
  });
}

test('retries of RunPodSandbox join the running one, and get its id', async () => {
  const held = crid.steps.hold({ kind: KIND, step: 'add network', phase: 'before' });
  const first = runPod(crid);
  const goOn = await held;
  const retries = [runPod(crid), runPod(crid)];
  goOn();
  const ids = await Promise.all([first, ...retries]);
  assert.deepEqual(new Set(ids), new Set([ids[0]]));
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
});

test('RunPodSandbox after success returns the same id for the same config, and refuses another config', async () => {
  const id = await runPod(crid);
  assert.equal(await runPod(crid), id);
  const other = podRequest();
  other.config!.labels = { other: 'config' };
  await assert.rejects(crid.runPodSandbox(other, CALLER), { code: 'ALREADY_EXISTS' });
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
});
