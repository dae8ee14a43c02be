import assert from 'node:assert/strict';
import { test } from 'node:test';
import { laterStatus } from '../../../src/state/status-file.js';
import type { StoredStatus } from '../../../src/state/stored.js';

const created: StoredStatus = {
  pid: 0,
  createdAt: 1n,
  startedAt: 0n,
  finishedAt: 0n,
  exitCode: 0,
  reason: '',
  message: '',
};
const running = { ...created, pid: 7, startedAt: 2n };
const exited = { ...running, pid: 0, finishedAt: 3n, exitCode: 7, reason: 'Error' };

test('the more advanced status applies; of two equal ones, that of crid', () => {
  const own = { ...running, message: 'own' };
  assert.deepEqual(
    [
      laterStatus(created, undefined),
      laterStatus(created, running),
      laterStatus(running, exited),
      laterStatus(exited, running),
      laterStatus(own, running),
    ],
    [created, running, exited, exited, own],
  );
});
