import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCallsUnderWay } from '../../../src/cri/calls-under-way.js';
import { until } from '../../../tools/stack/wait.js';

const LIMIT_MS = 10_000;

test('a call counts until a moment after its end', async () => {
  const { count, begin } = createCallsUnderWay();
  const ends = [begin(), begin()];
  assert.equal(count[0], 2);
  for (const end of ends) end();
  assert.equal(count[0], 2);
  await until('they are forgotten', LIMIT_MS, () => count[0] === 0 || undefined);
});

test('a long call counts for two seconds, and once', async () => {
  const { count, begin } = createCallsUnderWay();
  const startedMs = performance.now();
  const end = begin();
  await until('it has grown old', LIMIT_MS, () => count[0] === 0 || undefined);
  assert.ok(performance.now() - startedMs > 1_900);
  end();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(count[0], 0);
});
