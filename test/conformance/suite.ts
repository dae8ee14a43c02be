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
  /** The socket for NRI plugins. */
  readonly nriSocket: string;
  /** The folder for the log and the reports. */
  readonly folder: string;
  /** The runtime handler of the pods; "" for the default. */
  readonly handler: string;
  /**
   * Runs a program until it ends, with stdout and stderr in a file, and returns the exit code or signal. The default
   * runs it on this host.
   */
  readonly execute?: (program: string, logFile: string, args: readonly string[]) => Promise<string>;
  /** The limit for the whole suite. */
  readonly limitMs?: number;
}

const SUITE_LIMIT_MS = 1_800_000;

/** Runs critest once and reads its report. A failed spec is not an error; a suite without a report is. */
export async function runSuite(options: SuiteOptions): Promise<{ report: Report; log: string }> {
  const { critest, socket, nriSocket, folder, focus, handler, execute = run, limitMs = SUITE_LIMIT_MS } = options;
  await mkdir(folder, { recursive: true });
  const [log, json, config] = ['log', 'report.json', 'crictl.yaml'].map((name) => join(folder, name)) as Three;
  await rm(json, { force: true });
  // Without its own file, critest reads the host's /etc/crictl.yaml.
  await writeFile(config, `runtime-endpoint: unix://${socket}\nimage-endpoint: unix://${socket}\n`);
  const code = await execute(critest, log, [
    ...['-config', config, '-runtime-endpoint', `unix://${socket}`, '-image-endpoint', `unix://${socket}`],
    ...['-nri-socket', nriSocket],
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

/** Returns the exit code or the signal's name. */
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
