import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withResolvers } from '../../../src/base/async.js';
import { createInFlight } from '../../bench/in-flight.js';

type Call = Parameters<ReturnType<typeof createInFlight>['middleware']>[0];

/** A call that ends with `response`. */
const callOf = (response: Promise<string>): Call =>
  ({
    request: {},
    async *next() {
      return await response;
    },
  }) as unknown as Call;

test('a clean-up waits for the calls that run, and no call begins after the signal', async () => {
  const controller = new AbortController();
  const { middleware, ended } = createInFlight(controller.signal);
  const { promise, resolve } = withResolvers<string>();
  const running = middleware(callOf(promise), {}).next();
  controller.abort(new Error('interrupted'));
  await assert.rejects(middleware(callOf(Promise.resolve('late')), {}).next(), /^Error: interrupted$/);
  let over = false;
  const waiting = ended(60_000).then(() => (over = true));
  await new Promise(setImmediate);
  assert.equal(over, false);
  resolve('done');
  assert.deepEqual(await running, { done: true, value: 'done' });
  await waiting;
});

test('a clean-up does not wait for ever for a call that hangs', async () => {
  const { middleware, ended } = createInFlight(new AbortController().signal);
  void middleware(callOf(new Promise(() => undefined)), {}).next();
  // The wait alone does not keep a process alive.
  const alive = setInterval(() => undefined, 1_000);
  await ended(1);
  clearInterval(alive);
});
