import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { listInPieces } from '../../../src/containerd/list-in-pieces.js';

interface Stored {
  readonly id: string;
  readonly bytes: number;
}

const LIMIT_BYTES = 16;

/** A list that fails like containerd's if its response is too large. */
function listOf(stored: readonly Stored[]) {
  return async (filters: readonly string[]): Promise<Stored[]> => {
    const expressions = filters.map((filter) => new RegExp(/^id~="(.*)"$/.exec(filter)?.[1] ?? 'none'));
    const found = stored.filter(({ id }) => expressions.length === 0 || expressions.some((each) => each.test(id)));
    const bytes = found.reduce((sum, record) => sum + record.bytes, 0);
    if (bytes > LIMIT_BYTES) throw new CriError('RESOURCE_EXHAUSTED', `message larger than max (${bytes})`);
    return Promise.resolve(found);
  };
}

const ids = ({ records }: { records: readonly Stored[] }): string[] => records.map(({ id }) => id).sort();

test('a list at the limit is read at once', async () => {
  const stored = [
    { id: '0a', bytes: LIMIT_BYTES / 2 },
    { id: 'fb', bytes: LIMIT_BYTES / 2 },
  ];
  assert.deepEqual(await listInPieces(listOf(stored), { field: 'id' }), { records: stored, unreadable: [] });
});

test('a list beyond the limit is read in pieces, whatever the ids are', async () => {
  const stored = ['00', '01', '0f', '7a', '7b', 'ff', 'plain', '0plain', '7'].map((id) => ({ id, bytes: 6 }));
  const found = await listInPieces(listOf(stored), { field: 'id' });
  assert.deepEqual(found.unreadable, []);
  assert.deepEqual(ids(found), stored.map(({ id }) => id).sort());
});

test('a record that cannot be sent is reported by a prefix of its id, and all others are read', async () => {
  const stored = [
    { id: 'abcdef0123', bytes: LIMIT_BYTES + 1 },
    { id: 'abcde00123', bytes: 10 },
    { id: '0123456789', bytes: 10 },
  ];
  const found = await listInPieces(listOf(stored), { field: 'id' });
  assert.deepEqual(ids(found), ['0123456789', 'abcde00123']);
  assert.deepEqual(
    found.unreadable.map(({ prefix, error }) => [prefix, error.code]),
    [['abcdef', 'RESOURCE_EXHAUSTED']],
  );
});

test('any other failure is returned', async () => {
  const failing = (): Promise<Stored[]> => Promise.reject(new CriError('UNAVAILABLE', 'not there'));
  await assert.rejects(listInPieces(failing, { field: 'id' }), { code: 'UNAVAILABLE' });
});
