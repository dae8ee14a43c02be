import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createLogger } from '../../../src/base/log.js';
import { createStdio } from '../../../src/stdio/create-stdio.js';
import { createLogCounters } from '../../../src/stdio/server/log-counters.js';
import { createLogCounter, type LogCounter } from '../../../src/stdio/shared/log-counter.js';
import type { ContainerIoRequest, Stdio } from '../../../src/stdio/stdio.js';

export const quiet = createLogger('error');
quiet.level = 'silent';

/** Counts of a copying thread that no server reads. */
export const uncounted = (): LogCounter => createLogCounter(createLogCounters().cellsOfThread());

/** Creates a folder and a Stdio. Both are removed after the test. */
export function setUp(t: TestContext, workerUrl?: URL): { folder: string; stdio: Stdio } {
  const folder = mkdtempSync(join(tmpdir(), 'crid-stdio-'));
  const stdio = createStdio({ log: quiet, ...(workerUrl ? { workerUrl } : {}) });
  t.after(async () => {
    await stdio.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, stdio };
}

export const requestIn = (folder: string, changes: Partial<ContainerIoRequest> = {}): ContainerIoRequest => ({
  containerId: 'c1',
  fifoDir: join(folder, 'io'),
  stdin: false,
  terminal: false,
  logPath: join(folder, 'logs', 'c1.log'),
  maxLineBytes: 16_384,
  ...changes,
});

/** Runs a shell script. OUT and ERR are the paths of the FIFOs. */
export const shell = (script: string, paths: { stdout: string; stderr: string }): ChildProcess =>
  spawn('bash', ['-c', script], { env: { ...process.env, OUT: paths.stdout, ERR: paths.stderr }, stdio: 'ignore' });

export const exited = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
};

export interface LogLine {
  readonly stream: string;
  readonly tag: string;
  readonly content: string;
}

const LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([PF]) (.*)$/s;

/**
 * Returns the lines of a log, each of which must have the CRI format. Decoded as latin1, so that every byte is one
 * character.
 */
export function readLog(path: string): LogLine[] {
  const text = readFileSync(path, 'latin1');
  if (text === '') return [];
  if (!text.endsWith('\n')) throw new Error('the log does not end with a newline');
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => {
      const [, stream, tag, content] = LINE.exec(line) ?? [];
      if (stream === undefined || tag === undefined || content === undefined)
        throw new Error(`not a log line: ${line}`);
      return { stream, tag, content };
    });
}

export const countFds = (): number => readdirSync('/proc/self/fd').length;
