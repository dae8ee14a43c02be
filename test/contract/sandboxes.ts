import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SandboxRecord } from '../../src/containerd/containerd.js';
import { codeOf, plain, textAny, type Subject } from './subject.js';

const sandboxOf = (id: string, record: Partial<SandboxRecord> = {}): SandboxRecord => ({
  id,
  runtime: { name: 'io.containerd.runc.v2', options: undefined },
  spec: undefined,
  labels: {},
  extensions: { metadata: textAny('1') },
  sandboxer: 'podsandbox',
  ...record,
});

export function testSandboxes(subject: () => Subject): void {
  test('a sandbox keeps every field, and an update changes the named ones alone', async () => {
    const { sandboxes } = subject().containerd;
    const record = sandboxOf('pod', {
      labels: { name: 'web', creating: 'true' },
      extensions: { metadata: textAny('1'), other: textAny('o') },
    });
    const { createdAtNs = 0n, ...created } = await sandboxes.create(record);
    assert.ok(createdAtNs > 0n);
    assert.deepEqual(plain(created), plain(record));

    await sandboxes.update(sandboxOf('pod', { labels: { released: 'true', name: 'not named' } }), ['labels.released']);
    const marked = await sandboxes.get('pod');
    assert.deepEqual(marked.labels, { name: 'web', creating: 'true', released: 'true' });

    // The whole of the labels is replaced, one extension is changed.
    const change = sandboxOf('pod', { labels: { name: 'web' }, extensions: { metadata: textAny('2') } });
    await sandboxes.update(change, ['labels', 'extensions.metadata']);
    const { labels, extensions } = await sandboxes.get('pod');
    assert.deepEqual(plain({ labels, extensions }), {
      labels: { name: 'web' },
      extensions: plain({ metadata: textAny('2'), other: textAny('o') }),
    });
    assert.deepEqual(
      (await sandboxes.list(['labels.name==web'])).map(({ id }) => id),
      ['pod'],
    );
    assert.deepEqual(await sandboxes.list(['labels.name==other']), []);
    await sandboxes.delete('pod');
  });

  test('calls on sandboxes fail with these codes', async () => {
    const { sandboxes } = subject().containerd;
    await sandboxes.create(sandboxOf('taken'));
    assert.deepEqual(
      {
        existing: await codeOf(sandboxes.create(sandboxOf('taken'))),
        missing: await codeOf(sandboxes.get('missing')),
        updateOfMissing: await codeOf(sandboxes.update(sandboxOf('missing'), ['labels.a'])),
        noField: await codeOf(sandboxes.update(sandboxOf('taken'), [])),
        unknownField: await codeOf(sandboxes.update(sandboxOf('taken'), ['colour'])),
        deleteOfMissing: await codeOf(sandboxes.delete('missing')),
      },
      {
        existing: 'ALREADY_EXISTS',
        missing: 'NOT_FOUND',
        updateOfMissing: 'NOT_FOUND',
        noField: 'INVALID_ARGUMENT',
        unknownField: 'INVALID_ARGUMENT',
        deleteOfMissing: 'no error',
      },
    );
    await sandboxes.delete('taken');
  });
}
