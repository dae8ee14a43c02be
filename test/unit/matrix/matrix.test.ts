import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allCells, alphaGates, selectCells } from '../../matrix/cells.js';
import { countsOf, markdown, newest, type Result } from '../../matrix/table.js';

const names = (...words: string[]): string[] => selectCells(allCells(), words).map(({ name }) => name);

test('words select cells of the matrix by suite, version or both', () => {
  assert.deepEqual(names('critest+2.3', 'move+2.4'), ['critest containerd-2.3.7', 'move containerd-2.4.2']);
  assert.deepEqual(names('kubelet-1.34'), ['pods kubelet-1.34.4', 'events kubelet-1.34.4', 'gates kubelet-1.34.4']);
  assert.equal(names().length, allCells().length);
  assert.throws(() => names('critest', 'containerd-1.7'), /^Error: containerd-1\.7 is in none of: /);
});

test('only gates that are alpha in this kubelet are switched on', () => {
  const help = `
                EventedPLEG=true|false (ALPHA - default=false)
                CRIListStreaming=true|false (BETA - default=true)
                kube:VolumeBindMountOptions=true|false (ALPHA - default=false)`;
  assert.deepEqual(alphaGates(help, ['CRIListStreaming', 'EventedPLEG', 'VolumeBindMountOptions', 'Other']), [
    'EventedPLEG',
    'VolumeBindMountOptions',
  ]);
});

test('a suite that fails without a count, or in spite of it, has a failure', () => {
  assert.deepEqual(countsOf('a\n12 passed, 0 failed, 3 skipped\n', true), { passed: 12, failed: 0, skipped: 3 });
  assert.deepEqual(countsOf('12 passed, 2 failed\n', false), { passed: 12, failed: 2, skipped: 0 });
  assert.deepEqual(countsOf('12 passed, 0 failed\nmatrix: killed\n', false), { passed: 12, failed: 1, skipped: 0 });
  assert.deepEqual(countsOf('', false), { passed: 0, failed: 1, skipped: 0 });
});

test('the table has the last result of each cell', () => {
  const result = (name: string, passed: number, gates: string[] = []): Result => ({
    ...{ name, passed, gates, failed: 0, skipped: 2, seconds: 90, date: '2026-11-29', commit: 'abc1234' },
  });
  const results = [
    result('critest containerd-2.3.7', 1),
    result('gates kubelet-1.37.2', 5, ['A', 'B']),
    result('critest containerd-2.3.7', 114),
  ];
  const cells = ['critest containerd-2.3.7', 'move containerd-2.3.7', 'gates kubelet-1.37.2'];
  assert.deepEqual(markdown(newest(results, cells)).split('\n').slice(2), [
    '| critest | containerd 2.3.7 | | 114 | 0 | 2 | 2 | 2026-11-29 | abc1234 |',
    '| gates | kubelet 1.37.2 | A, B | 5 | 0 | 2 | 2 | 2026-11-29 | abc1234 |',
  ]);
});
