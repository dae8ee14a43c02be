import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killOnExit } from '../../tools/stack/disposers.js';
import { readReport, type Report } from './report.js';
import { skipped, type Selection } from './selection.js';

export interface SuiteOptions extends Selection {
  readonly critest: string;
  /** The CRI socket under test. */
  readonly socket: string;
  /** Where log and reports go. */
  readonly folder: string;
  /** The runtime handler that the pods ask for; "" for the default. */
  readonly handler: string;
  /** Runs a program to its end, both its streams to a file, and says how it ended; on this host unless told otherwise. */
  readonly execute?: (program: string, logFile: string, args: readonly string[]) => Promise<string>;
  /** Of the whole suite. */
  readonly limitMs?: number;
}

const SUITE_LIMIT_MS = 1_800_000;

/** Runs critest once and reads its report; a spec that fails is no error, a suite that does not report is. */
export async function runSuite(options: SuiteOptions): Promise<{ report: Report; log: string }> {
  const { critest, socket, folder, focus, handler, execute = run, limitMs = SUITE_LIMIT_MS } = options;
  await mkdir(folder, { recursive: true });
  const [log, json, config] = ['log', 'report.json', 'crictl.yaml'].map((name) => join(folder, name)) as Three;
  await rm(json, { force: true });
  // Without a file of its own the suite would read the host's /etc/crictl.yaml.
  await writeFile(config, `runtime-endpoint: unix://${socket}\nimage-endpoint: unix://${socket}\n`);
  const code = await execute(critest, log, [
    ...['-config', config, '-runtime-endpoint', `unix://${socket}`, '-image-endpoint', `unix://${socket}`],
    ...(handler ? ['-runtime-handler', handler] : []),
    ...['-ginkgo.no-color', '-ginkgo.v', '-ginkgo.json-report', json, '-ginkgo.timeout', `${limitMs}ms`],
    ...focus.flatMap((pattern) => ['-ginkgo.focus', pattern]),
    ...skipped(options).flatMap((pattern) => ['-ginkgo.skip', pattern]),
  ]);
  const text = await readFile(json, 'utf8').catch((cause: unknown) => {
    throw new Error(`critest ended with ${code} and no report: see ${log}`, { cause });
  });
  return { report: readReport(text, options), log };
}

type Three = [string, string, string];

/** Answers the exit code or the signal's name. */
async function run(program: string, logFile: string, args: readonly string[]): Promise<string> {
  const log = await open(logFile, 'w');
  try {
    const child = spawn(program, args, { stdio: ['ignore', log.fd, log.fd], timeout: SUITE_LIMIT_MS, detached: true });
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const hasEnded = killOnExit(child.pid ?? 0);
    const [code, signal] = await ended.finally(hasEnded);
    return signal ?? `exit code ${code}`;
  } finally {
    await log.close();
  }
}
