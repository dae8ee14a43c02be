import type { Counts } from '../runner/run-files.js';

/** The result of a cell. */
export interface Result extends Counts {
  readonly name: string;
  /** `YYYY-MM-DD` */
  readonly date: string;
  readonly seconds: number;
  readonly commit: string;
  readonly gates: readonly string[];
}

const LINE = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/;

/** Reads the last line that counts tests. A suite without such a line has failed, and so has a failed command. */
export function countsOf(output: string, succeeded: boolean): Counts {
  const line = output
    .trimEnd()
    .split('\n')
    .findLast((each) => LINE.test(each));
  const [passed = 0, failed = 0, skipped = 0] = (LINE.exec(line ?? '') ?? [])
    .slice(1)
    .map((count) => Number(count ?? 0));
  return { passed, failed: succeeded ? failed : Math.max(failed, 1), skipped };
}

/** Returns the last result of each cell, in the order of `names`. */
export function newest(results: readonly Result[], names: readonly string[]): Result[] {
  const last = new Map(results.map((result) => [result.name, result]));
  return names.flatMap((name) => last.get(name) ?? []);
}

/** Formats results as a table in Markdown. */
export function markdown(results: readonly Result[]): string {
  const rows = results.map(({ name, date, commit, passed, failed, skipped, gates, seconds }) => {
    const [suite = '', ...on] = name.split(' ');
    const minutes = String(Math.max(1, Math.round(seconds / 60)));
    return [suite, on.join(' ').replaceAll('-', ' '), gates.join(', '), passed, failed, skipped, minutes, date, commit];
  });
  return [
    '| suite | on | gates on | passed | failed | skipped | minutes | date | commit |',
    '| --- | --- | --- | --: | --: | --: | --: | --- | --- |',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`.replaceAll('  ', ' ')),
  ].join('\n');
}
