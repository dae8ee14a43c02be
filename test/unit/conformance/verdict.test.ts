import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Report, Spec } from '../../conformance/report.js';
import { behind, describeComparison, excusesOf, withAtLeast, withoutExcuse } from '../../conformance/verdict.js';

const spec = (name: string, reason = ''): Spec => ({ name, reason, durationMs: 1 });
const report = (lists: Partial<Report>): Report => ({ passed: [], failed: [], skipped: [], leftOut: [], ...lists });

const skipping = report({
  passed: [spec('a')],
  skipped: [spec('[k8s.io] AppArmor should enforce', 'no AppArmor'), spec('b', 'image_id is empty')],
});

test('a spec that skips itself has failed, unless the machine lacks what it tests', () => {
  assert.deepEqual(withoutExcuse(skipping, excusesOf({ hasAppArmor: false })), {
    ...skipping,
    skipped: [spec('[k8s.io] AppArmor should enforce', 'no AppArmor')],
    failed: [spec('b', 'skipped itself: image_id is empty')],
  });
  assert.deepEqual(
    withoutExcuse(skipping, excusesOf({ hasAppArmor: true })).failed.map(({ name }) => name),
    ['[k8s.io] AppArmor should enforce', 'b'],
  );
});

test('a spec that only the other server passes is named, even if crid passes more', () => {
  const crid = report({ passed: [spec('a'), spec('b'), spec('c')], skipped: [spec('d')] });
  assert.deepEqual(behind(crid, report({ passed: [spec('a'), spec('d')], failed: [spec('b')] })), ['d']);
});

test('a suite that ran too little has failed, though none of its specs has', () => {
  const failures = (lists: Partial<Report>, least?: number): string[] =>
    withAtLeast(report(lists), least).failed.map(({ name, reason }) => `${name}: ${reason}`);
  assert.deepEqual(failures({ leftOut: [spec('a')] }), ['the suite: 0 specs ran and 0 passed; 1 or more have to run']);
  assert.deepEqual(failures({ skipped: [spec('a')] }), ['the suite: 1 specs ran and 0 passed; 1 or more have to run']);
  assert.deepEqual(failures({ passed: [spec('a'), spec('b')] }, 3), [
    'the suite: 2 specs ran and 2 passed; 3 or more have to run',
  ]);
  const enough = report({ passed: [spec('a')], failed: [spec('b', 'x')], skipped: [spec('c', 'y')] });
  assert.deepEqual(withAtLeast(enough, 3), enough);
});

test('two servers side by side: counts, and what did not come out the same', () => {
  const crid = report({ passed: [spec('a'), spec('b')] });
  const other = report({ passed: [spec('a')], skipped: [spec('b')] });
  assert.equal(
    describeComparison({ crid, other }),
    [
      'specs     crid  other',
      'passed    2     1',
      'failed    0     0',
      'skipped   0     1',
      'left out  0     0',
      '',
      'differs  crid    other',
      'b        passed  skipped',
    ].join('\n'),
  );
  assert.ok(describeComparison({ crid, other: crid }).endsWith('every spec came out the same'));
});
