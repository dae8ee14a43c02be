import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, GC_ROOT, type Subject } from './subject.js';

export function testSnapshots(subject: () => Subject): void {
  test('a snapshot is prepared over an image, and is listed with its parent, kind and labels', async () => {
    const { containerd, snapshotter, image } = subject();
    const snapshots = containerd.snapshots(snapshotter);
    const parent = image.chainId;
    const mounts = await snapshots.prepare('work', parent, { ...GC_ROOT, mine: 'yes' });
    await snapshots.view('seen', parent, GC_ROOT);
    assert.deepEqual(await snapshots.mounts('work'), mounts);
    assert.deepEqual(
      {
        work: await snapshots.stat('work'),
        seen: (await snapshots.stat('seen')).kind,
        image: (await snapshots.stat(parent)).kind,
        byLabel: (await snapshots.list(['labels.mine==yes'])).map(({ name }) => name),
        ofParent: (await snapshots.list([`parent==${parent}`])).map(({ name }) => name).sort(),
      },
      {
        work: { name: 'work', parent, kind: 'active', labels: { ...GC_ROOT, mine: 'yes' } },
        seen: 'view',
        image: 'committed',
        byLabel: ['work'],
        ofParent: ['seen', 'work'],
      },
    );
    assert.ok((await snapshots.usage('work')).inodes > 0n);
    await snapshots.remove('work');
    await snapshots.remove('seen');
  });

  test('a committed snapshot takes its own name, and is the parent of others', async () => {
    const { containerd, snapshotter } = subject();
    const snapshots = containerd.snapshots(snapshotter);
    await snapshots.prepare('layer-work', '', GC_ROOT);
    await snapshots.commit('layer', 'layer-work', GC_ROOT);
    assert.equal(await codeOf(snapshots.stat('layer-work')), 'NOT_FOUND');
    await snapshots.prepare('child', 'layer', GC_ROOT);
    assert.equal(await codeOf(snapshots.remove('layer')), 'FAILED_PRECONDITION');
    await snapshots.remove('child');
    await snapshots.remove('layer');
    assert.equal(await codeOf(snapshots.stat('layer')), 'NOT_FOUND');
  });

  test('calls on snapshots fail with these codes', async () => {
    const { containerd, snapshotter, image } = subject();
    const snapshots = containerd.snapshots(snapshotter);
    await snapshots.prepare('taken', image.chainId, GC_ROOT);
    await snapshots.prepare('other', image.chainId, GC_ROOT);
    assert.deepEqual(
      {
        existing: await codeOf(snapshots.prepare('taken', image.chainId)),
        existingView: await codeOf(snapshots.view('taken', image.chainId)),
        noParent: await codeOf(snapshots.prepare('orphan', 'sha256:none')),
        parentNotCommitted: await codeOf(snapshots.prepare('grandchild', 'taken')),
        noLease: await codeOf(snapshots.prepare('leased', image.chainId, {}, { lease: 'no-such-lease' })),
        mountsOfMissing: await codeOf(snapshots.mounts('missing')),
        usageOfMissing: await codeOf(snapshots.usage('missing')),
        missing: await codeOf(snapshots.stat('missing')),
        commitToExisting: await codeOf(snapshots.commit('other', 'taken')),
        commitOfMissing: await codeOf(snapshots.commit('layer', 'missing')),
        removeOfMissing: await codeOf(snapshots.remove('missing')),
      },
      {
        existing: 'ALREADY_EXISTS',
        existingView: 'ALREADY_EXISTS',
        noParent: 'NOT_FOUND',
        parentNotCommitted: 'INVALID_ARGUMENT',
        noLease: 'NOT_FOUND',
        mountsOfMissing: 'NOT_FOUND',
        usageOfMissing: 'NOT_FOUND',
        missing: 'NOT_FOUND',
        commitToExisting: 'ALREADY_EXISTS',
        commitOfMissing: 'NOT_FOUND',
        removeOfMissing: 'no error',
      },
    );
    await snapshots.remove('taken');
    await snapshots.remove('other');
  });
}
