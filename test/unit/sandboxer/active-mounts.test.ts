import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SnapshotMount } from '../../../src/containerd/containerd.js';
import { withActiveMounts } from '../../../src/sandboxer/active-mounts.js';
import { createMemoryContainerd } from '../../harness/memory-containerd/memory-containerd.js';
import { createMemoryNode } from '../../harness/memory-node/memory-node.js';

const mount = (type: string, ...options: string[]): SnapshotMount => ({
  type,
  source: `/${type}`,
  target: '',
  options,
});
const erofs = mount('erofs', 'ro', 'loop');
const signal = new AbortController().signal;

async function used(mounts: readonly SnapshotMount[]) {
  const containerd = createMemoryContainerd();
  const client = containerd.connect();
  const snapshot = { snapshotter: 'some', key: 'key', mounts };
  const given = await withActiveMounts(client, snapshot, signal, (active) => Promise.resolve(active));
  const calls = client.connection.log.map((call) => call.split(' ')[0]);
  return { given, calls, left: containerd.dump()['activations'] };
}

const BOTH = ['mounts.activate', 'mounts.deactivate'];

test('one ordinary mount is used as it is', async () => {
  for (const ordinary of [mount('bind', 'rbind'), mount('overlay', 'lowerdir=/a:/b')]) {
    assert.deepEqual(await used([ordinary]), { given: [ordinary], calls: [], left: {} });
  }
});

test('the mount manager makes what comes before an ordinary mount, and it is released afterwards', async () => {
  const { given, calls, left } = await used([erofs, mount('format/mkdir/overlay', 'lowerdir={{ mount 0 }}')]);
  assert.deepEqual([given.map(({ type }) => type), calls, left], [['overlay'], BOTH, {}]);
});

test('mounts without a template, loop devices and a chain that is left over: the mount manager makes all', async () => {
  for (const mounts of [[erofs], [mount('bind', 'ro'), mount('overlay')], [mount('ext4', 'rw', 'loop')]]) {
    const source = `/memory/mounts/${mounts.length - 1}`;
    assert.deepEqual(await used(mounts), {
      given: [{ type: 'bind', source, target: '', options: ['rbind', 'ro'] }],
      calls: ['mounts.activate', ...BOTH],
      left: {},
    });
  }
  const { given, calls } = await used([mount('format/bind'), mount('overlay')]);
  assert.deepEqual([given.map(({ source }) => source), calls], [['/memory/mounts/1'], [...BOTH, ...BOTH]]);
});

test('the snapshot keeps the activation, and no lease does', async () => {
  const { mounts } = createMemoryContainerd().connect();
  const asked: unknown[] = [];
  const manager: typeof mounts = {
    ...mounts,
    activate: (request, { signal: _, ...options } = {}) => {
      asked.push([request.labels, options]);
      return mounts.activate(request, options);
    },
  };
  const snapshot = { snapshotter: 'some', key: 'key', mounts: [erofs] };
  await withActiveMounts({ mounts: manager }, snapshot, signal, () => Promise.resolve());
  const kept = [{ 'containerd.io/gc.bref.snapshot.some': 'key' }, {}];
  assert.deepEqual(asked, [kept, kept]);
});

test('a failure of the use is thrown, and the mounts are released', async () => {
  const containerd = createMemoryContainerd();
  const snapshot = { snapshotter: 'some', key: 'key', mounts: [mount('format/bind')] };
  await assert.rejects(
    withActiveMounts(containerd.connect(), snapshot, signal, () => Promise.reject(new Error('no room'))),
    { message: 'no room' },
  );
  assert.deepEqual(containerd.dump()['activations'], {});
});

test('a start releases the mounts that a kill has left, and none of others', async () => {
  const node = await createMemoryNode();
  try {
    const { mounts } = node.containerd.connect();
    const request = { mounts: [mount('format/bind')], labels: {}, temporary: false };
    for (const name of ['crid-of-a-killed-crid', 'of-another-client']) await mounts.activate({ name, ...request });
    await node.start();
    assert.deepEqual(Object.keys((await node.dump()).containerd['activations'] ?? {}), ['of-another-client']);
  } finally {
    await node.remove();
  }
});
