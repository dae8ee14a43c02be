import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { backgroundFailures, inBackground } from '../../../src/base/background.js';
import { createLastResort, MAX_UNHANDLED_PER_MINUTE, unhandledErrors } from '../../../src/base/last-resort.js';

const quiet = { error: () => undefined, fatal: () => undefined, warn: () => undefined };

test('unhandled errors are counted, and more than the limit within a minute end crid once', () => {
  let nowMs = 0;
  let exits = 0;
  const { onUnhandled } = createLastResort({ log: quiet, exit: () => (exits += 1), nowMs: () => nowMs });
  const before = unhandledErrors();
  const exitsAfter = (errors: number): number => {
    for (let count = 0; count < errors; count += 1) onUnhandled(new Error('x'), 'uncaughtException');
    return exits;
  };
  const atLimit = exitsAfter(MAX_UNHANDLED_PER_MINUTE);
  nowMs = 60_000;
  const aMinuteLater = exitsAfter(MAX_UNHANDLED_PER_MINUTE);
  const beyond = exitsAfter(1);
  const afterwards = exitsAfter(1);
  assert.deepEqual([atLimit, aMinuteLater, beyond, afterwards], [0, 0, 1, 1]);
  assert.equal(unhandledErrors() - before, 2 * MAX_UNHANDLED_PER_MINUTE + 2);
});

test('the log has the stack of the error and of its cause', () => {
  const logged: unknown[] = [];
  const log = { ...quiet, error: (entry: unknown) => logged.push(entry) };
  const cause = new Error('below');
  createLastResort({ log: log as never, exit: () => undefined }).onUnhandled(
    new Error('above', { cause }),
    'unhandledRejection',
  );
  const { err, stack, origin } = logged[0] as Record<string, string>;
  assert.deepEqual([err, origin], ['above', 'unhandledRejection']);
  assert.match(stack ?? '', /^Error: above\n.*last-resort.*\ncaused by: Error: below\n.*last-resort/s);
});

test('a promise in the background that rejects is logged and counted', async () => {
  const logged: unknown[] = [];
  const before = backgroundFailures();
  inBackground(
    { warn: (...entry: unknown[]) => void logged.push(entry) } as never,
    'work',
    Promise.reject(new Error('no')),
  );
  inBackground(quiet as never, 'work', Promise.resolve());
  await turn();
  assert.deepEqual([logged, backgroundFailures() - before], [[[{ err: 'no' }, 'work failed']], 1]);
});
