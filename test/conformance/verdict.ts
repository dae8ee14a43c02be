import type { Report, Spec } from './report.js';

/** A spec that may be skipped because the machine lacks something. */
export interface Excuse {
  readonly spec: RegExp;
  readonly reason: string;
}

/** Returns the excuses for this machine. */
export const excusesOf = ({ hasAppArmor }: { hasAppArmor: boolean }): readonly Excuse[] =>
  hasAppArmor ? [] : [{ spec: /\bAppArmor\b/, reason: 'this machine has no AppArmor' }];

/**
 * Turns a skip without an excuse into a failure: otherwise a server could pass the suite by having its specs skipped.
 */
export function withoutExcuse(report: Report, excuses: readonly Excuse[]): Report {
  const excused = ({ name }: Spec): boolean => excuses.some(({ spec }) => spec.test(name));
  const failed = report.skipped.filter((spec) => !excused(spec));
  return {
    ...report,
    skipped: report.skipped.filter(excused),
    failed: [...report.failed, ...failed.map((spec) => ({ ...spec, reason: `skipped itself: ${spec.reason}` }))],
  };
}

/** Returns the names of the specs that pass on the other server and not on this one. */
export function behind(report: Report, other: Report): string[] {
  const passed = new Set(report.passed.map(({ name }) => name));
  return other.passed.map(({ name }) => name).filter((name) => !passed.has(name));
}

/** Adds a failure if fewer specs ran than required or none passed, because a focus may match nothing. */
export function withAtLeast(report: Report, least = 1): Report {
  const [passed, ran] = [report.passed.length, [...report.passed, ...report.failed, ...report.skipped].length];
  if (passed > 0 && ran >= least) return report;
  const reason = `${ran} specs ran and ${passed} passed; ${least} or more have to run`;
  return { ...report, failed: [...report.failed, { name: 'the suite', reason, durationMs: 0 }] };
}

/** Compares two servers: the counts, and each spec with different outcomes. */
export function describeComparison(sides: Readonly<Record<string, Report>>): string {
  const [names, reports] = [Object.keys(sides), Object.values(sides)];
  const outcomes = reports.map(outcomesOf);
  const specs = [...new Set(outcomes.flatMap((each) => [...each.keys()]))].sort();
  const differing = specs
    .map((spec) => [spec, ...outcomes.map((each) => each.get(spec) ?? 'not there')])
    .filter(([, ...each]) => new Set(each).size > 1);
  const counts = LISTS.map((list) => [WORDS[list], ...reports.map((report) => String(report[list].length))]);
  return [
    ...table([['specs', ...names], ...counts]),
    '',
    ...(differing.length === 0 ? ['every spec came out the same'] : table([['differs', ...names], ...differing])),
  ].join('\n');
}

const LISTS = ['passed', 'failed', 'skipped', 'leftOut'] as const;
const WORDS = { passed: 'passed', failed: 'failed', skipped: 'skipped', leftOut: 'left out' };

const outcomesOf = (report: Report): Map<string, string> =>
  new Map(LISTS.flatMap((list) => report[list].map(({ name }): [string, string] => [name, WORDS[list]])));

/** Formats rows with columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
