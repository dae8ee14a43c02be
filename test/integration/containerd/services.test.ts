import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { anyOf } from '../../../src/containerd/any.js';
import { runtimeOptions } from '../../../src/containerd/runtime-options.js';
import { busybox, chainId, connect, empty, failure, pullBusybox, snapshotter, specOf } from './lab.js';

const containerd = connect('crid-test-services');
const text = (value: string) => anyOf('crid.test', Buffer.from(value));

before(async () => {
  await empty(containerd);
  await pullBusybox(containerd);
});
after(async () => {
  await empty(containerd);
  containerd.close();
});

test('a container keeps every field when one extension changes', async () => {
  const record = {
    id: 'record',
    labels: { 'io.example/a': '1', b: '2' },
    image: busybox,
    runtime: { name: 'io.containerd.runc.v2', options: runtimeOptions('io.containerd.runc.v2', { Root: '/r' }) },
    spec: specOf('record', 'true'),
    snapshotter,
    snapshotKey: 'record-key',
    extensions: { one: text('1'), 'two.dotted': text('2') },
    sandbox: '',
  };
  const { createdAtNs, ...created } = await containerd.containers.create(record);
  assert.ok(createdAtNs !== undefined && createdAtNs > 0n);
  assert.deepEqual(created, buffers(record));

  await containerd.containers.update(
    { id: 'record', extensions: { 'two.dotted': text('changed') }, labels: { b: 'ignored' } },
    ['extensions.two.dotted'],
  );
  const expected = buffers({ ...record, extensions: { one: text('1'), 'two.dotted': text('changed') } });
  const [listed] = await containerd.containers.list([`labels."io.example/a"==1`]);
  assert.deepEqual({ ...listed, createdAtNs: 0n }, { ...expected, createdAtNs: 0n });
  assert.deepEqual(await containerd.containers.list([`labels."io.example/a"==2`]), []);

  assert.deepEqual(
    [
      await failure(containerd.containers.create(record)),
      await failure(containerd.containers.update({ id: 'record' }, ['extensions.three'])),
      await failure(containerd.containers.update({ id: 'record' }, [])),
    ],
    [
      'ALREADY_EXISTS containers.create: container "record": already exists',
      'INVALID_ARGUMENT containers.update: extensions.three: is to be updated but has no value',
      'INVALID_ARGUMENT containers.update: fields: must name a field to update',
    ],
  );
  await containerd.containers.delete('record');
  await containerd.containers.delete('record');
  assert.match(await failure(containerd.containers.get('record')), /^NOT_FOUND containers\.get: .*record/);
});

test('a snapshot is prepared over the image and belongs to its lease', async () => {
  const snapshots = containerd.snapshots(snapshotter);
  const parent = await chainId(containerd, busybox);
  await containerd.leases.create('lease', { purpose: 'test' });
  const mounts = await snapshots.prepare('work', parent, { mine: 'yes' }, { lease: 'lease' });
  assert.deepEqual(await snapshots.mounts('work'), mounts);
  assert.deepEqual(await snapshots.stat('work'), { name: 'work', parent, kind: 'active', labels: { mine: 'yes' } });
  assert.deepEqual(await snapshots.list(['labels.mine==yes']), [await snapshots.stat('work')]);
  assert.deepEqual(await containerd.leases.resources('lease'), [{ id: 'work', type: 'snapshots/overlayfs' }]);
  assert.ok((await snapshots.usage('work')).inodes > 0n);
  await snapshots.view('seen', parent);
  assert.equal((await snapshots.stat('seen')).kind, 'view');

  assert.match(await failure(snapshots.prepare('work', parent)), /^ALREADY_EXISTS snapshots\.prepare: /);
  assert.match(await failure(snapshots.prepare('other', 'sha256:none')), /^NOT_FOUND snapshots\.prepare: /);
  assert.match(await failure(containerd.leases.create('lease', {})), /^ALREADY_EXISTS leases\.create: /);

  await snapshots.remove('seen');
  await snapshots.remove('seen');
  await containerd.leases.delete('lease', { sync: true });
  await containerd.leases.delete('lease');
  assert.match(await failure(snapshots.stat('work')), /^NOT_FOUND snapshots\.stat: .*work/);
});

test('content is read completely or refused', async () => {
  const { digest, size } = (await containerd.images.get(busybox)).target;
  assert.equal((await containerd.content.read(digest, Number(size))).length, Number(size));
  assert.equal((await containerd.content.info(digest)).size, size);
  assert.equal(
    await failure(containerd.content.read(digest, 100)),
    `RESOURCE_EXHAUSTED content.read: "${digest}" is larger than 100 bytes`,
  );
});

test('an image gets another name and other labels', async () => {
  const { target } = await containerd.images.get(busybox);
  const image = { name: 'other', labels: { a: '1' }, target };
  assert.deepEqual(await containerd.images.create(image), image);
  await containerd.images.update({ ...image, labels: { a: '2', b: 'ignored' } }, ['labels.a']);
  assert.deepEqual(await containerd.images.list(['name==other']), [{ ...image, labels: { a: '2' } }]);
  await containerd.images.delete('other', false);
  await containerd.images.delete('other', false);
  assert.match(await failure(containerd.images.get('other')), /^NOT_FOUND images\.get: /);
});

test('a sandbox record keeps every field when one extension changes', async () => {
  const record = {
    id: 'pod',
    runtime: { name: 'io.containerd.runc.v2', options: undefined },
    spec: specOf('pod', 'true'),
    labels: { app: 'web' },
    extensions: { metadata: text('1'), other: text('o') },
    sandboxer: 'podsandbox',
  };
  const { createdAtNs, ...created } = await containerd.sandboxes.create(record);
  assert.ok(createdAtNs !== undefined && createdAtNs > 0n);
  assert.deepEqual(created, buffers(record));
  const changed = { ...record, extensions: { metadata: text('2') } };
  await containerd.sandboxes.update(changed, ['extensions.metadata']);
  const { extensions } = await containerd.sandboxes.get('pod');
  assert.deepEqual(extensions, buffers({ metadata: text('2'), other: text('o') }));
  assert.equal((await containerd.sandboxes.list(['labels.app==web'])).length, 1);
  await containerd.sandboxes.delete('pod');
  await containerd.sandboxes.delete('pod');
  assert.match(await failure(containerd.sandboxes.get('pod')), /^NOT_FOUND sandboxes\.get: /);
  assert.match(
    await failure(containerd.controller.status('none', 'pod', false)),
    /^(NOT_FOUND|INVALID_ARGUMENT) controller\.status: /,
  );
});

test('containerd reports its version, plugins, deprecations and the features of its runtime', async () => {
  assert.match((await containerd.introspection.version()).version, /^v?2\./);
  const [plugin] = await containerd.introspection.plugins(['type==io.containerd.snapshotter.v1,id==overlayfs']);
  assert.deepEqual([plugin?.id, plugin?.initError, plugin?.initCode], ['overlayfs', '', 0]);
  assert.ok(plugin?.exports['root']);
  const { uuid, deprecations } = await containerd.introspection.server();
  assert.match(uuid, /^[0-9a-f-]{36}$/);
  assert.ok(Array.isArray(deprecations));
  const features = await containerd.introspection.runtimeFeatures({ name: 'io.containerd.runc.v2' });
  assert.ok((features as { linux: { namespaces: string[] } }).linux.namespaces.includes('user'));
});

/** Converts Uint8Arrays to Buffers, which containerd's clients return: deepEqual distinguishes them. */
function buffers<T>(value: T): T {
  if (value instanceof Uint8Array) return Buffer.from(value) as unknown as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, buffers(inner as unknown)])) as T;
}

test('an error whose text is longer than 64 KiB fails only its call', async () => {
  const options = { timeoutMs: 20_000 };
  for (const bytes of [60_000, 66_000, 200_000]) {
    const expected = bytes < 65_000 ? /^NOT_FOUND containers\.get: .*xxx/ : /^UNAVAILABLE .* longer than 64 KiB/;
    assert.match(await failure(containerd.containers.get('x'.repeat(bytes), options)), expected);
  }
  assert.ok(await containerd.containers.list([], options));
});
