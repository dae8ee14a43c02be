import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationMs, parseDurationMs } from '../../../src/config/duration.js';

test('durations are read as Go reads them', () => {
  const texts = [
    '0',
    '0s',
    '10s',
    '4h0m0s',
    '1h30m',
    '1.5h',
    '.5s',
    '5.s',
    '250ms',
    '1us',
    '1µs',
    '1μs',
    '1ns',
    '+2s',
    '-2s',
  ];
  assert.deepEqual(
    texts.map(parseDurationMs),
    [0, 0, 10_000, 14_400_000, 5_400_000, 5_400_000, 500, 5000, 250, 0.001, 0.001, 0.001, 0.000001, 2000, -2000],
  );
});

test('a text that Go refuses is not a duration', () => {
  const texts = ['', '5', '.', '.s', 's', '5 h', '5h ', '1d', '1h-2m', '-', '1.2.3s', '5S'];
  assert.deepEqual(
    texts.map(parseDurationMs),
    texts.map(() => undefined),
  );
  assert.throws(() => durationMs('soon'), new RangeError('"soon" is not a duration such as "10s" or "1h30m"'));
});
