import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { Transform } from 'node:stream';
import { finished } from 'node:stream/promises';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly name?: string;
    readonly message?: string;
    readonly nesting?: number;
    readonly skip?: string | boolean;
    readonly todo?: string | boolean;
    readonly details?: { readonly type?: string; readonly error?: { readonly failureType?: string } };
  };
}

const SUMMARY = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

/** Runs each file in a process of its own, shows what Node's spec reporter shows of it, and counts its tests. */
export async function runFiles(options: {
  files: readonly string[];
  concurrency: number;
  timeoutMs: number;
  signal: AbortSignal;
}): Promise<Counts> {
  const { files, concurrency, timeoutMs, signal } = options;
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const tests = run({ files: [...files], concurrency, timeout: timeoutMs, signal });
  const counted = tests.pipe(
    new Transform({
      objectMode: true,
      transform(event: TestEvent, _encoding, done) {
        count(event, counts);
        // Its summary of one file would be taken for that of all.
        const isSummary = event.type === 'test:diagnostic' && SUMMARY.test(event.data.message ?? '');
        done(null, isSummary ? undefined : event);
      },
    }),
  );
  const report = counted.pipe(new spec());
  report.pipe(process.stdout, { end: false });
  await finished(report);
  return counts;
}

function count({ type, data }: TestEvent, counts: Counts): void {
  // A suite counts only where it has failed of itself, by a hook or a time-out; its tests count anyway.
  const isSuite = data.details?.type === 'suite';
  if (isSuite && (type !== 'test:fail' || data.details?.error?.failureType === 'subtestsFailed')) return;
  if (type === 'test:fail' && !data.todo) counts.failed++;
  else if (type === 'test:pass' && (data.skip !== undefined || data.todo !== undefined)) counts.skipped++;
  else if (type === 'test:pass') counts.passed++;
}
