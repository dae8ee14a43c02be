import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { jsonAny, SPEC_TYPE_URL } from '../../../src/containerd/any.js';
import type { OciSpec } from '../../../src/spec/oci.js';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode } from '../../harness/memory-node/memory-node.js';
import { CALLER, createApp, runControlledPod } from '../../harness/memory-node/requests.js';

let node: MemoryNode;
let crid: MemoryCrid;
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
});
afterEach(() => node.remove());

const hosts = { destination: '/etc/hosts', type: 'bind', source: '/vm/hosts', options: ['rbind', 'ro'] };
const SPEC = {
  ociVersion: '1.3.0',
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }, hosts],
  linux: {
    namespaces: [
      { type: 'network', path: '/vm/net' },
      { type: 'ipc', path: '/vm/ipc' },
      { type: 'uts', path: '/vm/uts' },
      { type: 'pid', path: '/vm/pid' },
      { type: 'mount' },
    ],
  },
};
/** A sandbox without a process, as a shim without a pause container starts it. */
const WITHOUT_PROCESS = { pid: 0, address: 'ttrpc+unix:///vm', version: 3 };

async function specOf(id: string): Promise<OciSpec> {
  const { containers } = (await node.dump()).containerd;
  return JSON.parse((containers?.[id] as { spec: string }).spec) as OciSpec;
}

async function assertUsesSpec(id: string): Promise<void> {
  const { linux, mounts } = await specOf(id);
  assert.deepEqual(
    linux.namespaces.filter(({ type }) => type !== 'cgroup'),
    [
      { type: 'pid', path: '/vm/pid' },
      { type: 'ipc', path: '/vm/ipc' },
      { type: 'uts', path: '/vm/uts' },
      { type: 'mount' },
      { type: 'network', path: '/vm/net' },
    ],
  );
  assert.deepEqual(
    mounts.filter(({ destination }) => ['/proc', '/etc/hosts'].includes(destination)).map(({ source }) => source),
    ['proc', '/vm/hosts'],
  );
}

test("a container joins the namespaces and has the mounts of its sandbox controller's spec, also after a restart", async () => {
  node.containerd.startsSandboxes({ ...WITHOUT_PROCESS, spec: jsonAny(SPEC_TYPE_URL, SPEC) });
  const pod = await runControlledPod(crid);
  const first = await createApp(crid, pod, APP_IMAGE);
  await assertUsesSpec(first);
  await crid.startContainer({ container_id: first }, CALLER);
  const { tasks } = (await node.dump()).containerd;
  const { endpoint } = tasks?.[first] as { endpoint: object };
  assert.deepEqual(endpoint, { address: 'ttrpc+unix:///vm', version: 3 });
  await crid.stopContainer({ container_id: first, timeout: 0n }, CALLER);
  await crid.removeContainer({ container_id: first }, CALLER);
  await crid.close();
  crid = await node.start();
  await assertUsesSpec(await createApp(crid, pod, APP_IMAGE));
});

test('a sandbox without a process, of which the controller gave no namespaces, gets no container', async () => {
  const { linux, ...others } = SPEC;
  const namespaces = linux.namespaces.filter(({ type }) => type !== 'uts');
  const spec = jsonAny(SPEC_TYPE_URL, { ...others, linux: { namespaces } });
  node.containerd.startsSandboxes({ ...WITHOUT_PROCESS, spec });
  const pod = await runControlledPod(crid);
  const before = await node.dump();
  await assert.rejects(createApp(crid, pod, APP_IMAGE), {
    code: 'FAILED_PRECONDITION',
    message: /^the pod sandbox has neither a process nor a uts namespace that the container could join/,
  });
  assert.deepEqual(await node.dump(), before);
});

test('a spec that cannot be read fails the run, and nothing is left', async () => {
  const before = await node.dump();
  const spec = jsonAny(SPEC_TYPE_URL, { mounts: [{ destination: 'relative' }] });
  node.containerd.startsSandboxes({ ...WITHOUT_PROCESS, spec });
  await assert.rejects(runControlledPod(crid), {
    code: 'INTERNAL',
    message: /sandboxer "vm": the spec for its containers cannot be read: mounts\.0\.destination: /,
  });
  assert.deepEqual(await node.dump(), before);
});
