import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogCounters } from '../../../../src/stdio/server/log-counters.js';
import { createLogCounter } from '../../../../src/stdio/shared/log-counter.js';

test('the bytes of a dead thread stay in the counts, and its failing logs do not', () => {
  const counters = createLogCounters();
  const cells = [counters.cellsOfThread(), counters.cellsOfThread()] as const;
  for (const each of cells) {
    const counter = createLogCounter(each);
    counter.written(10);
    counter.dropped(3);
    counter.failing(1);
  }
  assert.deepEqual(counters.counts(), { written: 20n, dropped: 6n, failing: 2n });
  counters.forget(cells[0]);
  assert.deepEqual(counters.counts(), { written: 20n, dropped: 6n, failing: 1n });
});
