import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffLines } from '../../../src/migrate/text-diff.js';

test('changes that are far apart are shown in parts, with three lines around each', () => {
  const before = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);
  const after = before.with(1, 'second').toSpliced(17, 1);
  assert.deepEqual(diffLines('/f', `${before.join('\n')}\n`, `${after.join('\n')}\n`), [
    '--- /f',
    '+++ /f',
    '@@ -1 +1 @@',
    ' line 1',
    '-line 2',
    '+second',
    ' line 3',
    ' line 4',
    ' line 5',
    '@@ -15 +15 @@',
    ' line 15',
    ' line 16',
    ' line 17',
    '-line 18',
    ' line 19',
    ' line 20',
  ]);
});

test('a file that appears or goes is compared with /dev/null', () => {
  assert.deepEqual(diffLines('/f', undefined, 'a\n'), ['--- /dev/null', '+++ /f', '@@ -1 +1 @@', '+a']);
  assert.deepEqual(diffLines('/f', 'a\n', undefined), ['--- /f', '+++ /dev/null', '@@ -1 +1 @@', '-a']);
});
