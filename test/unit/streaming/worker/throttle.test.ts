import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createThrottle } from '../../../../src/streaming/worker/throttle.js';

const PROCESSORS = 2;
const CHUNK = 64 * 1024;

/** Creates a throttle with a clock and a node that the test controls. */
function own({ calls = 1, runnable = PROCESSORS + 1 } = {}) {
  const node = { nowMs: 1_000, runnable, callsUnderWay: Int32Array.of(calls) };
  const throttle = createThrottle(node.callsUnderWay, {
    processors: PROCESSORS,
    runnable: () => node.runnable,
    nowMs: () => node.nowMs,
  });
  return { node, rest: (bytes = CHUNK) => throttle.restMs(bytes) };
}

test('streams are not throttled without running calls, or with idle processors', () => {
  assert.equal(own({ calls: 0 }).rest(), 0);
  assert.equal(own({ runnable: PROCESSORS }).rest(), 0);
});

test('all streams together are limited to 16 MiB/s while calls run and processors are busy', () => {
  const { node, rest } = own();
  const rests = [rest(), rest(), rest()];
  node.nowMs += 12;
  assert.deepEqual([...rests, rest(), rest(2 * CHUNK)], [4, 8, 12, 4, 12]);
  assert.equal(rest(1024 * 1024), 50, 'none is left alone for long');
});

test('short messages are sent at once; their total counts', () => {
  const { rest } = own();
  const KIB = 1024;
  assert.deepEqual([rest(16 * KIB), rest(15 * KIB), rest(KIB)], [0, 0, 2]);
});

test('the processor time that throttling frees does not end the throttling at once', () => {
  const { node, rest } = own();
  rest();
  node.runnable = 1;
  node.nowMs += 99;
  assert.equal(rest(), 4);
  node.nowMs += 1;
  assert.equal(rest(), 0);
});

test('when the last call has ended, nothing waits', () => {
  const { node, rest } = own();
  assert.equal(rest(), 4);
  Atomics.store(node.callsUnderWay, 0, 0);
  assert.equal(rest(), 0);
});
