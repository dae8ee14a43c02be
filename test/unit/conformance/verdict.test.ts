import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Report, Spec } from '../../conformance/report.js';
import { describeComparison, excusesOf, withoutExcuse } from '../../conformance/verdict.js';

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
