import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeReport, readReport } from '../../conformance/report.js';

const spec = (State: string, LeafNodeText: string, Message?: string, LeafNodeType = 'It') => ({
  ContainerHierarchyTexts: LeafNodeType === 'It' ? ['[k8s.io] Pods', 'runtime'] : null,
  LeafNodeType,
  LeafNodeText,
  State,
  RunTime: 1_500_000_000,
  ...(Message === undefined ? {} : { Failure: { Message } }),
});

const json = (...specs: object[]): string => JSON.stringify([{ SpecReports: specs }]);

test('every spec of a report lands in one list, and what went wrong is told in one line', () => {
  const report = readReport(
    json(
      spec('passed', 'should run'),
      spec('skipped', 'should confine', 'AppArmor is disabled on this host'),
      spec('skipped', 'benchmark'),
      spec('pending', 'should wait'),
      spec('failed', 'should stop', 'Expected\n    <int>: 1\nto equal\n    <int>: 0'),
      spec('panicked', 'should list', 'nil pointer'),
      spec('timedout', 'should end'),
    ),
  );
  const named = (name: string, reason = '') => ({ name: `[k8s.io] Pods runtime ${name}`, reason, durationMs: 1500 });
  assert.deepEqual(report, {
    passed: [named('should run')],
    failed: [
      named('should stop', 'Expected <int>: 1 to equal <int>: 0'),
      named('should list', 'nil pointer'),
      named('should end'),
    ],
    skipped: [named('should confine', 'AppArmor is disabled on this host')],
    leftOut: [named('benchmark'), named('should wait')],
  });
  assert.equal(describeReport(report).split('\n').at(-1), '1 passed, 3 failed, 1 skipped, 2 left out');
});

test('nodes around the specs count only when they fail', () => {
  const report = readReport(
    json(
      spec('passed', '', undefined, 'SynchronizedBeforeSuite'),
      spec('failed', '', 'no such socket', 'SynchronizedAfterSuite'),
    ),
  );
  assert.deepEqual(report, {
    passed: [],
    failed: [{ name: 'SynchronizedAfterSuite', reason: 'no such socket', durationMs: 1500 }],
    skipped: [],
    leftOut: [],
  });
});

test('a suite that never began has no specs', () => {
  assert.deepEqual(readReport('[{"SpecReports":null}]'), { passed: [], failed: [], skipped: [], leftOut: [] });
});
