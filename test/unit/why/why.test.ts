import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeOperations } from '../../../src/why/why.js';

test('each operation is shown with its current steps, their times and what they wait for', () => {
  const operation = { id: '1', startedAtMs: 1_000, waiters: 2 };
  const texts = describeOperations(
    [
      {
        ...operation,
        kind: 'run pod sandbox',
        subject: 'default/web',
        steps: [{ name: 'add network', sinceMs: 2_000, waitingOn: 'plugin bridge (ADD, 28 s)' }],
      },
      {
        ...operation,
        kind: 'stop container',
        subject: 'abc',
        waiters: 0,
        steps: [{ name: 'send SIGTERM', sinceMs: 29_900, waitingOn: undefined }],
      },
    ],
    30_000,
  );
  assert.deepEqual(texts, [
    'run pod sandbox default/web: for 29 s, 2 waiting',
    '  add network: for 28 s, waiting for plugin bridge (ADD, 28 s)',
    'stop container abc: for 29 s, no caller waits',
    '  send SIGTERM: for 0 s',
  ]);
  assert.deepEqual(describeOperations([], 0), ['no operation runs']);
});
