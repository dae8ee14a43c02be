import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grown, isCompared, isEnd, SAMPLES, SHIM_DESCRIPTORS, type Sample } from '../../soak/samples.js';

/** Makes samples whose counts and MiB are functions of the sample's index. */
const samples = (count: (index: number) => number, mib: (index: number) => number): Sample[] =>
  Array.from({ length: SAMPLES }, (_, index) => ({
    done: index,
    counts: { descriptors: count(index) },
    heapMiB: { heap: mib(index) / 10 },
    memoryMiB: { RSS: mib(index) },
  }));

test('a value that is flat after the warm-up counts as flat', () => {
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

test('a value that grows a little with every repetition is named', () => {
  assert.deepEqual(
    grown(
      samples(
        (index) => 40 + index,
        (index) => 100 + 6 * index,
      ),
    ),
    ['descriptors: 47.0 -> 57.0', 'heap: 14.2 -> 20.2', 'RSS: 142.0 -> 202.0'],
  );
});

test('too few samples give no result', () => {
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

test('ten samples after the warm-up are compared', () => {
  const all = Array.from({ length: SAMPLES }, (_, index) => index);
  assert.deepEqual(all.filter(isCompared), [5, 6, 7, 8, 9, 15, 16, 17, 18, 19]);
  assert.deepEqual(all.filter(isEnd), [5, 19]);
});

test('values that a shim keeps until its garbage collection are compared only after a wait for it', () => {
  const shims = (count: (index: number) => number): string[] =>
    grown(
      samples(count, () => 1).map(({ counts, ...sample }) => ({
        ...sample,
        counts: { [SHIM_DESCRIPTORS]: counts['descriptors'] ?? 0 },
      })),
    );
  assert.deepEqual(
    shims((index) => (isEnd(index) ? 44 : 40 + 10 * index)),
    [],
  );
  assert.deepEqual(
    shims((index) => (index < 19 ? 44 : 47)),
    ['descriptors of shims: 44.0 -> 47.0'],
  );
});
