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

const json = (...specs: object[]): string =>
  JSON.stringify([{ SuiteDescription: 'CRI validation', SpecReports: specs }]);

test('every spec of a report is in one list, and a failure is one line', () => {
  const report = readReport(
    json(
      spec('passed', 'should run'),
      spec('skipped', 'should confine', 'AppArmor is disabled on this host'),
      spec('skipped', 'benchmark about listing'),
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
    leftOut: [
      named('benchmark about listing', 'a benchmark: it measures, and says nothing of conformance'),
      named('should wait', 'the suite itself has it as pending'),
    ],
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

test('each spec that is left out has a reason, and one that was to run has failed', () => {
  const digest = 'public image with digest should be pulled and removed [Conformance]';
  const names = ['benchmark about listing', digest, 'should see OOM', 'should run'];
  const text = json(...names.map((name) => spec('skipped', name)), spec('skipped', '', undefined, 'AfterSuite'));
  const told = (...[focus, skip]: string[][]): string[] => {
    const { failed, leftOut, skipped } = readReport(text, { focus: focus ?? [], skip: skip ?? [] });
    assert.deepEqual(skipped, []);
    return names.map((name) => {
      const found = (list: typeof failed): string | undefined =>
        list.find((each) => each.name.endsWith(` ${name}`))?.reason;
      return found(leftOut) ?? `failed: ${found(failed)}`;
    });
  };
  const benchmark = 'a benchmark: it measures, and says nothing of conformance';
  const ofDigest =
    'pulls an image by the digest that the original on the internet has, and the images here are of our own making';
  const notRun = 'failed: it was to run, and the suite ended before';
  assert.deepEqual(told([], []), [benchmark, ofDigest, notRun, notRun]);
  assert.deepEqual(told(['OOM'], []), [benchmark, 'not asked for', notRun, 'not asked for']);
  assert.deepEqual(told(['with digest'], []), [benchmark, notRun, 'not asked for', 'not asked for']);
  assert.deepEqual(told([], ['^CRI validation .* run$']), [
    benchmark,
    ofDigest,
    notRun,
    'to be skipped: ^CRI validation .* run$',
  ]);
  const shown = describeReport(readReport(text));
  assert.ok(shown.includes(`  [k8s.io] Pods runtime ${digest}: ${ofDigest}\n`), shown);
});

test('a suite that never began has no specs', () => {
  assert.deepEqual(readReport('[{"SpecReports":null}]'), { passed: [], failed: [], skipped: [], leftOut: [] });
});
