import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, containerOf, type Subject } from './subject.js';

export function testLeases(subject: () => Subject): void {
  test('a lease has the snapshots that are made under it, also after they are removed', async () => {
    const { containerd, snapshotter, image } = subject();
    const { leases } = containerd;
    const snapshots = containerd.snapshots(snapshotter);
    const { createdAtMs, ...lease } = await leases.create('lease', { purpose: 'test' });
    assert.ok(createdAtMs > 0);
    assert.deepEqual(lease, { id: 'lease', labels: { purpose: 'test' } });
    await snapshots.prepare('one', image.chainId, {}, { lease: 'lease' });
    await snapshots.view('two', image.chainId, {}, { lease: 'lease' });
    const resources = async () => (await leases.resources('lease')).sort((a, b) => (a.id < b.id ? -1 : 1));
    const type = `snapshots/${snapshotter}`;
    const both = [
      { id: 'one', type },
      { id: 'two', type },
    ];
    assert.deepEqual(await resources(), both);
    await snapshots.remove('one');
    assert.deepEqual(await resources(), both);
    assert.deepEqual(
      (await leases.list(['labels.purpose==test'])).map(({ id }) => id),
      ['lease'],
    );
    await snapshots.remove('two');
    await leases.delete('lease', { sync: true });
  });

  test('a snapshot goes with its lease, unless a container has it', async () => {
    const { containerd, snapshotter, image } = subject();
    const snapshots = containerd.snapshots(snapshotter);
    await containerd.leases.create('lease', {});
    await snapshots.prepare('kept', image.chainId, {}, { lease: 'lease' });
    await snapshots.prepare('lost', image.chainId, {}, { lease: 'lease' });
    await containerd.containers.create(containerOf('keeper', { snapshotter, snapshotKey: 'kept' }));
    await containerd.leases.delete('lease', { sync: true });
    assert.deepEqual(
      { kept: await codeOf(snapshots.stat('kept')), lost: await codeOf(snapshots.stat('lost')) },
      { kept: 'no error', lost: 'NOT_FOUND' },
    );
    await containerd.containers.delete('keeper');
    await snapshots.remove('kept');
  });

  test('calls on leases fail with these codes', async () => {
    const { leases } = subject().containerd;
    await leases.create('taken', {});
    assert.deepEqual(
      {
        existing: await codeOf(leases.create('taken', {})),
        resourcesOfMissing: await codeOf(leases.resources('missing')),
        deleteOfMissing: await codeOf(leases.delete('missing')),
      },
      { existing: 'ALREADY_EXISTS', resourcesOfMissing: 'NOT_FOUND', deleteOfMissing: 'no error' },
    );
    await leases.delete('taken');
  });
}
