import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createTable } from '../../../src/state/table.js';

interface Row {
  readonly id: string;
  readonly name: string;
  readonly ready?: boolean;
}
const table = (...rows: Row[]) => {
  const made = createTable<Row>('pod sandbox');
  for (const row of rows) made.put(row);
  return made;
};
const refused = (code: string, message: string) => (thrown: unknown) => {
  assert.deepEqual(thrown instanceof CriError && { code: thrown.code, message: thrown.message }, { code, message });
  return true;
};

test('a record is found by its id, and by a unique prefix of it', () => {
  const rows = table({ id: 'abc1', name: 'a' }, { id: 'abd2', name: 'b' });
  assert.deepEqual(
    [rows.find('abc1', 'f')?.name, rows.find('abd', 'f')?.name, rows.find('x', 'f')],
    ['a', 'b', undefined],
  );
  assert.throws(() => rows.get('x', 'f'), refused('NOT_FOUND', 'pod sandbox "x" not found'));
  assert.throws(
    () => rows.find('ab', 'pod_sandbox_id'),
    refused('INVALID_ARGUMENT', 'pod_sandbox_id: "ab" is a prefix of 2 pod sandbox ids'),
  );
  assert.throws(
    () => rows.find('', 'pod_sandbox_id'),
    refused('INVALID_ARGUMENT', 'pod_sandbox_id: pod sandbox id must not be empty'),
  );
});

test('a name belongs to one record until that one is deleted', () => {
  const rows = table({ id: '1', name: 'web' });
  assert.throws(
    () => rows.put({ id: '2', name: 'web' }),
    refused('ALREADY_EXISTS', 'pod sandbox name "web" is taken by "1"'),
  );
  rows.delete('1');
  rows.put({ id: '2', name: 'web' });
  assert.equal(rows.byName('web')?.id, '2');
});

test('until waits for a change, a deletion, or its signal', async () => {
  const rows = table({ id: '1', name: 'a' }, { id: '2', name: 'b' });
  const forever = new AbortController().signal;
  const changed = rows.until('1', ({ ready }) => ready === true, forever);
  const deleted = rows.until('2', ({ ready }) => ready === true, forever);
  const abort = new AbortController();
  const aborted = rows.until('1', () => false, abort.signal);
  rows.put({ id: '1', name: 'a', ready: true });
  rows.delete('2');
  assert.deepEqual([await changed, await deleted], [{ id: '1', name: 'a', ready: true }, undefined]);
  abort.abort();
  await assert.rejects(aborted);
});

test('byId finds only complete ids', () => {
  const pods = table({ id: 'abc', name: 'x' });
  assert.deepEqual([pods.byId('abc')?.name, pods.byId('ab'), pods.byId('')], ['x', undefined, undefined]);
});
