import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomeText } from '../../../../src/streaming/shared/outcome.js';

test('from version 4 on the result is a Status', () => {
  const statuses = [
    outcomeText({ kind: 'exited', exitCode: 0 }, 4),
    outcomeText({ kind: 'exited', exitCode: 137 }, 5),
    outcomeText({ kind: 'failed', message: 'no such command' }, 4),
  ].map((text) => JSON.parse(text) as unknown);
  assert.deepEqual(statuses, [
    { metadata: {}, status: 'Success' },
    {
      metadata: {},
      status: 'Failure',
      message: 'command terminated with non-zero exit code: exit code 137',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '137' }] },
    },
    {
      metadata: {},
      status: 'Failure',
      message: 'no such command',
      reason: 'InternalError',
      details: { causes: [{ message: 'no such command' }] },
      code: 500,
    },
  ]);
});

test('before version 4 the result is a text, and empty after a success', () => {
  assert.deepEqual(
    [
      outcomeText({ kind: 'exited', exitCode: 0 }, 3),
      outcomeText({ kind: 'exited', exitCode: 2 }, 1),
      outcomeText({ kind: 'failed', message: 'gone' }, 2),
    ],
    ['', 'command terminated with non-zero exit code: exit code 2', 'gone'],
  );
});
