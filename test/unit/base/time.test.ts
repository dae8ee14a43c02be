import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, startTimer, timeoutSignal } from '../../../src/base/time.js';

const DAY_MS = 24 * 3600_000;

test('a timer of more than 24.8 days does not fire at once', async () => {
  let fired = 0;
  const timers = [25, 365, 1e9, Infinity].map((days) => startTimer(days * DAY_MS, () => void fired++));
  const late = timeoutSignal(30 * DAY_MS);
  const leave = new AbortController();
  const slept = sleep(30 * DAY_MS, leave.signal);
  const first = await Promise.race([slept.then(() => 'slept'), sleep(30).then(() => 'waited')]);
  assert.deepEqual([fired, late.signal.aborted, first], [0, false, 'waited']);
  leave.abort(new Error('enough'));
  await assert.rejects(slept, /enough/);
  for (const timer of [...timers, late]) timer.clear();
});

test('a timer of more than 24.8 days fires once all its time has passed', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  context.mock.method(performance, 'now', () => nowMs);
  let fired = false;
  startTimer(60 * DAY_MS, () => (fired = true));
  const days = (count: number): void => {
    nowMs += count * DAY_MS;
    context.mock.timers.tick(count * DAY_MS);
  };
  for (let day = 0; day < 59; day++) days(1);
  assert.equal(fired, false);
  days(1);
  assert.equal(fired, true);
});

test('a signal aborts after its time and names it', async () => {
  const { signal } = timeoutSignal(5);
  await sleep(30);
  assert.match(String(signal.reason), /not done within 0\.005 s/);
});
