import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode } from '../../harness/memory-node/memory-node.js';
import { CALLER, containerRequest, createApp, runPod } from '../../harness/memory-node/requests.js';
import { faultAt, momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';

const KIND = 'create container';
const STEPS = [
  'prepare snapshot',
  'make directories',
  'resolve mounts',
  'read CDI specs',
  'ensure AppArmor profile',
  'read rootfs',
  'record container',
];

let node: MemoryNode;
let crid: MemoryCrid;
let pod: string;
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
  pod = await runPod(crid);
});
afterEach(() => node.remove());

const create = () => createApp(crid, pod, APP_IMAGE);

test('CreateContainer runs its steps in this order, and the record comes last', async () => {
  const calls = crid.calls.length;
  const id = await create();
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
  // The watch of the pod may begin meanwhile.
  const own = crid.calls.slice(calls).filter((call) => !call.startsWith('tasks.wait '));
  assert.deepEqual(own, [`snapshots.prepare ${id}`, `containers.create ${id}`]);
  const { containerd } = await node.dump();
  const { snapshotKey, sandbox } = containerd['containers']?.[id] as { snapshotKey: string; sandbox: string };
  assert.deepEqual(
    { snapshotKey, sandbox, task: containerd['tasks']?.[id], phase: crid.state.containers.byId(id)?.state.phase },
    { snapshotKey: id, sandbox: pod, task: undefined, phase: 'created' },
  );
});

test('at the end of every step of CreateContainer, something protects each snapshot from the garbage collector', async () => {
  const unprotected: string[] = [];
  crid.steps.onStep((step) => unprotected.push(...node.containerd.garbage().map((each) => `${step}: ${each}`)));
  await create();
  assert.deepEqual(unprotected, []);
});

test("a container's record has the digest and the name of its image, as containerd's plugin stores them", async () => {
  const id = await create();
  const { containers, images } = (await node.dump()).containerd;
  const { extensions } = containers?.[id] as { extensions: Record<string, string> };
  const { Metadata } = JSON.parse(extensions['io.cri-containerd.container.metadata'] ?? '') as {
    Metadata: { ImageDigest: string; ImageName: string };
  };
  const { target } = images?.[APP_IMAGE] as { target: { digest: string } };
  assert.deepEqual([Metadata.ImageDigest, Metadata.ImageName], [target.digest, APP_IMAGE]);
});

for (const moment of momentsOf(KIND, STEPS)) {
  test(`CreateContainer that fails ${nameOf(moment)} leaves the node as it was`, async () => {
    const before = await node.dump();
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(create(), { message: new RegExp(`fault injected at ${KIND}: ${moment.step}$`) });
    assert.deepEqual(await node.dump(), before);
    assert.deepEqual(crid.state.containers.list(), []);
    crid.steps.setFault('');
    assert.ok(await create());
  });
}

test('retries of CreateContainer join the running one, and get its id', async () => {
  const held = crid.steps.hold({ kind: KIND, step: 'read rootfs', phase: 'before' });
  const first = create();
  const goOn = await held;
  const retries = [create(), create()];
  goOn();
  const ids = await Promise.all([first, ...retries]);
  assert.deepEqual(new Set(ids), new Set([ids[0]]));
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
});

test('CreateContainer after success returns the same id for the same config, and refuses another config', async () => {
  const id = await create();
  assert.equal(await create(), id);
  await assert.rejects(createApp(crid, pod, APP_IMAGE, 'another script'), { code: 'ALREADY_EXISTS' });
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
});

test('CreateContainer in a pod that is stopped meanwhile fails, and leaves nothing of the container', async () => {
  const held = crid.steps.hold({ kind: KIND, step: 'record container', phase: 'after' });
  const creating = create();
  const goOn = await held;
  await crid.stopPodSandbox({ pod_sandbox_id: pod }, CALLER);
  goOn();
  await assert.rejects(creating, { code: 'FAILED_PRECONDITION' });
  const { containerd } = await node.dump();
  assert.deepEqual(Object.keys(containerd['containers'] ?? {}), [pod]);
  await crid.removePodSandbox({ pod_sandbox_id: pod }, CALLER);
});

test('CreateContainer of an unknown image or pod is NOT_FOUND and calls nothing of containerd', async () => {
  const calls = crid.calls.length;
  await assert.rejects(createApp(crid, pod, 'docker.io/library/other:1'), { code: 'NOT_FOUND' });
  await assert.rejects(crid.createContainer(containerRequest('0'.repeat(64), APP_IMAGE), CALLER), {
    code: 'NOT_FOUND',
  });
  assert.deepEqual(
    crid.calls.slice(calls).filter((call) => !call.startsWith('tasks.wait ')),
    [],
  );
});
