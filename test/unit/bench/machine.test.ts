import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busyMsOf } from '../../bench/machine.js';

test('busy time is user, nice, system, irq and softirq; not idle, waiting, stolen or of guests', () => {
  const stat = `cpu  1000 200 300 400000 5000 60 7 8000 900 10
cpu0 1 2 3 4 5 6 7 8 9 10
intr 5 6
ctxt 7
`;
  assert.equal(busyMsOf(stat), 15_670);
});

test('an older kernel has fewer fields', () => {
  assert.equal(busyMsOf('cpu  10 0 5 400\ncpu0 10 0 5 400\n'), 150);
});

test('a text without the line of all processors is an error', () => {
  assert.throws(() => busyMsOf('cpu0 1 2 3 4\n'), { message: '/proc/stat has no line "cpu"' });
});
