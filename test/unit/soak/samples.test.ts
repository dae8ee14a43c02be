import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grown, SAMPLES, type Sample } from '../../soak/samples.js';

/** What is counted, and MiB, as functions of the sample's number. */
const samples = (count: (index: number) => number, mib: (index: number) => number): Sample[] =>
  Array.from({ length: SAMPLES }, (_, index) => ({
    done: index,
    counts: { descriptors: count(index) },
    memoryMiB: { RSS: mib(index) },
  }));

test('what is flat after its warm-up is flat', () => {
  const noise = (index: number): number => (index * 7) % 3;
  const warm = (index: number): number => Math.min(index, 5) * 20;
  assert.deepEqual(
    grown(
      samples(
        (index) => 40 + noise(index),
        (index) => 100 + warm(index) + 5 * noise(index),
      ),
    ),
    [],
  );
});

test('what grows a little with every repetition is named', () => {
  assert.deepEqual(
    grown(
      samples(
        (index) => 40 + index,
        (index) => 100 + 4 * index,
      ),
    ),
    ['descriptors: 47.0 -> 57.0', 'RSS: 128.0 -> 168.0'],
  );
});

test('too few samples say nothing', () => {
  assert.throws(
    () =>
      grown(
        samples(
          () => 1,
          () => 1,
        ).slice(0, 7),
      ),
    /too few/,
  );
});
