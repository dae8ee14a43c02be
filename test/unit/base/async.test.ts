import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { createKeyedQueue, withAnySignal, withResolvers } from '../../../src/base/async.js';
import { unlessAborted } from '../../../src/base/time.js';

test('work on one key runs in order, also after a failure; other keys do not wait', async () => {
  const inTurn = createKeyedQueue();
  const ran: string[] = [];
  const first = withResolvers();
  const one = inTurn('a', async () => {
    await first.promise;
    ran.push('a1');
    throw new Error('no');
  });
  const two = inTurn('a', async () => void ran.push('a2'));
  await inTurn('b', async () => void ran.push('b1'));
  first.resolve();
  await assert.rejects(one, /no/);
  await two;
  assert.deepEqual(ran, ['b1', 'a1', 'a2']);
});

test('work whose caller gives up waiting does not run, and the next one keeps its place', async () => {
  const inTurn = createKeyedQueue();
  const ran: string[] = [];
  const first = withResolvers();
  const leaving = new AbortController();
  const one = inTurn('a', async () => {
    await first.promise;
    ran.push('a1');
  });
  const two = inTurn(
    'a',
    async () => void ran.push('a2'),
    (turn) => unlessAborted(turn, leaving.signal),
  );
  const three = inTurn('a', async () => void ran.push('a3'));
  leaving.abort(new Error('left'));
  await assert.rejects(two, /left/);
  first.resolve();
  await Promise.all([one, three]);
  assert.deepEqual(ran, ['a1', 'a3']);
});

test('the first of several signals counts, and none keeps a listener', async () => {
  const [one, two] = [new AbortController(), new AbortController()];
  const reason = await withAnySignal([one.signal, undefined, two.signal], async (signal) => {
    two.abort('two');
    one.abort('one');
    return signal.reason as unknown;
  });
  const late = await withAnySignal([one.signal], async (signal) => signal.reason as unknown);
  const left = [one, two].flatMap(({ signal }) => getEventListeners(signal, 'abort'));
  assert.deepEqual({ reason, late, left }, { reason: 'two', late: 'one', left: [] });
});
