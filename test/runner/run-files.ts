import { setMaxListeners } from 'node:events';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import { inspect } from 'node:util';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The results of test files. */
export interface Outcome extends Counts {
  /** The name of each failed test, with the beginning of its error. */
  readonly failures: string[];
}

interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly name?: string;
    readonly message?: string;
    readonly nesting?: number;
    readonly skip?: string | boolean;
    readonly todo?: string | boolean;
    readonly details?: {
      readonly type?: string;
      readonly error?: { readonly failureType?: string; readonly cause?: unknown };
    };
  };
}

const REASON_LIMIT = 3_000;
const SUMMARY = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

export const noTests = (): Outcome => ({ passed: 0, failed: 0, skipped: 0, failures: [] });

/** The outcome of tests that could not run. */
export function failure(thrown: unknown): Outcome {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return { ...noTests(), failed: 1, failures: [text] };
}

/** Runs each file in its own process, writes the output of Node's spec reporter, and adds the results to `outcome`. */
export async function runFiles(options: {
  files: readonly string[];
  concurrency: number;
  timeoutMs: number;
  signal: AbortSignal;
  write: (text: string) => void;
  outcome: Outcome;
}): Promise<void> {
  const { files, concurrency, timeoutMs, signal, write, outcome } = options;
  // `run` listens to the signal once for each file.
  setMaxListeners(0, signal);
  const tests = run({ files: [...files], concurrency, timeout: timeoutMs, signal });
  const counted = tests.pipe(
    new Transform({
      objectMode: true,
      transform(event: TestEvent, _encoding, done) {
        count(event, outcome);
        // Drop the reporter's summary of one file: it looks like the summary of all files.
        const isSummary = event.type === 'test:diagnostic' && SUMMARY.test(event.data.message ?? '');
        done(null, isSummary ? undefined : event);
      },
    }),
  );
  const report = counted.pipe(new spec());
  report.on('data', (text: Buffer | string) => write(text.toString()));
  await finished(report);
}

function count({ type, data }: TestEvent, counts: Outcome): void {
  // Count a suite only if it failed by itself, in a hook or by a timeout. Its tests are counted anyway.
  const isSuite = data.details?.type === 'suite';
  if (isSuite && (type !== 'test:fail' || data.details?.error?.failureType === 'subtestsFailed')) return;
  if (type === 'test:fail' && !data.todo) {
    counts.failed++;
    counts.failures.push(`✖ ${data.name ?? ''}\n${reason(data.details?.error)}`);
  }
  if (type === 'test:pass' && (data.skip !== undefined || data.todo !== undefined)) counts.skipped++;
  else if (type === 'test:pass') counts.passed++;
}

function reason(error: { readonly cause?: unknown } | undefined): string {
  const { cause = error } = error ?? {};
  const text = typeof cause === 'string' ? cause : inspect(cause);
  return (text.length > REASON_LIMIT ? `${text.slice(0, REASON_LIMIT)} …` : text).replaceAll(/^/gm, '  ');
}
