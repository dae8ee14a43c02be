import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode, type NodeDump } from '../../harness/memory-node/memory-node.js';
import { CALLER, createApp, runPod } from '../../harness/memory-node/requests.js';
import { faultAt, momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';

const STOP = 'stop pod sandbox';
const REMOVE = 'remove pod sandbox';
const STOP_STEPS = [
  'kill containers',
  'stop sandbox',
  'delete network',
  'remove network namespace',
  'unmount images',
  'unmount pod files',
  'record release',
];
const REMOVE_STEPS = [
  'remove containers',
  'unmount images',
  'remove pod files',
  'remove pause container',
  'delete sandbox record',
];

let node: MemoryNode;
let crid: MemoryCrid;
let empty: NodeDump;
let pod: string;
let app: string;
/** A pod with a running container. */
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
  empty = await node.dump();
  pod = await runPod(crid);
  app = await createApp(crid, pod, APP_IMAGE);
  await crid.startContainer({ container_id: app }, CALLER);
});
afterEach(() => node.remove());

const stop = () => crid.stopPodSandbox({ pod_sandbox_id: pod }, CALLER);
const remove = () => crid.removePodSandbox({ pod_sandbox_id: pod }, CALLER);

async function assertStopped(): Promise<void> {
  const { containerd, networks } = await node.dump();
  assert.deepEqual(
    {
      tasks: containerd['tasks'],
      networks,
      pod: crid.state.pods.byId(pod)?.state,
      container: crid.state.containers.byId(app)?.state.phase,
      label: (containerd['sandboxes']?.[pod] as { labels: Record<string, string> }).labels['io.crid.released'],
    },
    {
      tasks: {},
      networks: [],
      pod: { phase: 'not-ready', released: true, failedDetaches: 0 },
      container: 'exited',
      label: 'true',
    },
  );
}

test('StopPodSandbox runs its steps in this order; containers, pause process and network are gone', async () => {
  await stop();
  assert.deepEqual(stepsOf(crid, STOP), STOP_STEPS);
  await assertStopped();
  await stop();
  // A repeat finds nothing to do.
  assert.deepEqual(stepsOf(crid, STOP), STOP_STEPS);
});

test('StopPodSandbox deletes the tasks of the containers before that of the pause process', async () => {
  await stop();
  const deletions = crid.calls.filter((call) => call.startsWith('tasks.delete '));
  assert.deepEqual(deletions, [`tasks.delete ${app}`, `tasks.delete ${pod}`]);
});

for (const moment of momentsOf(STOP, STOP_STEPS)) {
  test(`StopPodSandbox that fails ${nameOf(moment)} is finished by a retry`, async () => {
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(stop(), { message: new RegExp(`fault injected at ${STOP}: ${moment.step}$`) });
    assert.ok(crid.state.pods.byId(pod));
    crid.steps.setFault('');
    await stop();
    await assertStopped();
  });
}

test('RemovePodSandbox runs the steps of a stop and then its own, and leaves nothing', async () => {
  await remove();
  assert.deepEqual(stepsOf(crid, REMOVE), [...STOP_STEPS, ...REMOVE_STEPS]);
  assert.deepEqual(await node.dump(), empty);
  assert.deepEqual([crid.state.pods.list(), crid.state.containers.list()], [[], []]);
  await remove();
});

test('RemovePodSandbox deletes the records last', async () => {
  await remove();
  const own = crid.calls.filter((call) => call.endsWith(` ${pod}`));
  assert.deepEqual(new Set(own.slice(-2)), new Set([`sandboxes.delete ${pod}`, `leases.delete ${pod}`]));
});

for (const moment of momentsOf(REMOVE, [...STOP_STEPS, ...REMOVE_STEPS])) {
  test(`RemovePodSandbox that fails ${nameOf(moment)} keeps the pod, and a retry leaves nothing`, async () => {
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(remove(), { message: new RegExp(`fault injected at ${REMOVE}: ${moment.step}$`) });
    assert.ok(crid.state.pods.byId(pod));
    crid.steps.setFault('');
    await remove();
    assert.deepEqual(await node.dump(), empty);
  });
}

test('a removal waits for a stop that runs, and two stops join', async () => {
  const held = crid.steps.hold({ kind: STOP, step: 'delete network', phase: 'before' });
  const stops = [stop(), stop()];
  const goOn = await held;
  const removal = remove();
  goOn();
  await Promise.all([...stops, removal]);
  assert.deepEqual(stepsOf(crid, STOP), STOP_STEPS);
  assert.deepEqual(stepsOf(crid, REMOVE), ['wait for stop pod sandbox', ...REMOVE_STEPS]);
  assert.deepEqual(await node.dump(), empty);
});
