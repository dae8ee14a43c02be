import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import { createSnapshotUsage } from '../../../src/images/snapshot-usage.js';

/** Snapshots with a kind and a size each. The usage of one with an undefined size fails. */
function usageOf(all: Map<string, { kind: string; bytes: bigint | undefined }>, freshMs: number) {
  const asked: string[] = [];
  const usage = createSnapshotUsage({
    snapshotter: 'overlayfs',
    freshMs,
    log: createLogger('error'),
    snapshots: {
      list: () => Promise.resolve([...all].map(([name, { kind }]) => ({ name, kind, parent: '', labels: {} }))),
      usage: (name) => {
        asked.push(name);
        const bytes = all.get(name)?.bytes;
        if (bytes === undefined) return Promise.reject(new CriError('UNKNOWN', 'broken'));
        return Promise.resolve({ bytes, inodes: 1n });
      },
    },
  });
  return { usage, asked };
}

test('committed snapshots are measured once, writable ones each time, and failing ones keep their last size', async () => {
  const all = new Map<string, { kind: string; bytes: bigint | undefined }>([
    ['layer', { kind: 'committed', bytes: 100n }],
    ['rootfs', { kind: 'active', bytes: 10n }],
    ['sick', { kind: 'active', bytes: undefined }],
  ]);
  const { usage, asked } = usageOf(all, 0);
  const first = await usage.sum();
  all.set('rootfs', { kind: 'active', bytes: undefined });
  all.set('more', { kind: 'committed', bytes: 1000n });
  const second = await usage.sum();
  all.delete('layer');
  const third = await usage.sum();
  assert.deepEqual(
    [first, second, third].map(({ bytes, inodes }) => [bytes, inodes]),
    [
      [110n, 2n],
      [1110n, 3n],
      [1010n, 2n],
    ],
  );
  assert.deepEqual(asked, ['layer', 'rootfs', 'sick', 'rootfs', 'sick', 'more', 'rootfs', 'sick']);
});

test('callers within the period, and concurrent callers, share one measurement', async () => {
  const { usage, asked } = usageOf(new Map([['rootfs', { kind: 'active', bytes: 10n }]]), 3_600_000);
  const [one, two] = await Promise.all([usage.sum(), usage.sum()]);
  assert.deepEqual([one, await usage.sum(), asked], [two, two, ['rootfs']]);
});

test('a wall clock that is set back does not keep old sizes', async (t) => {
  const all = new Map([['rootfs', { kind: 'active', bytes: 10n }]]);
  const { usage } = usageOf(all, 0);
  await usage.sum();
  all.set('rootfs', { kind: 'active', bytes: 20n });
  const hourAgoMs = Date.now() - 3_600_000;
  t.mock.method(Date, 'now', () => hourAgoMs);
  assert.equal((await usage.sum()).bytes, 20n);
});
