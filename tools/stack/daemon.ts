import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { killOnExit } from './disposers.js';

/** A background process that this process started. */
export interface Daemon {
  readonly pid: number;
  /** Resolves with the exit code or the signal's name when the process has ended. */
  readonly ended: Promise<number | string>;
  hasEnded(): boolean;
  /** Sends the signal and waits for the end; sends SIGKILL after `limitMs`. */
  stop(signal: NodeJS.Signals, limitMs: number): Promise<void>;
}

const KILL_LIMIT_MS = 10_000;
const LOG_TAIL_CHARS = 3000;

/** Starts a program whose stdout and stderr are appended to `logFile`. It does not keep this process alive. */
export async function startDaemon(
  program: string,
  args: readonly string[],
  options: { logFile: string; env?: NodeJS.ProcessEnv; cwd?: string },
): Promise<Daemon> {
  const log = openSync(options.logFile, 'a', 0o600);
  const child = spawn(program, args, {
    stdio: ['ignore', log, log],
    env: options.env ?? process.env,
    cwd: options.cwd,
    // A Ctrl-C on the terminal must reach only this process, which then stops the others in order.
    detached: true,
  });
  closeSync(log);
  let end: number | string | undefined;
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve((end = code ?? signal ?? 'unknown')));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  const pid = child.pid ?? 0;
  void ended.then(killOnExit(pid));

  return {
    pid,
    ended,
    hasEnded: () => end !== undefined,
    async stop(signal, limitMs) {
      if (end !== undefined) return;
      child.ref();
      child.kill(signal);
      if (await within(ended, limitMs)) return;
      child.kill('SIGKILL');
      if (!(await within(ended, KILL_LIMIT_MS))) throw new Error(`${program} (pid ${pid}) does not die`);
    },
  };
}

/** Returns the end of a log, for an error message. */
export function logTail(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(-LOG_TAIL_CHARS);
  } catch {
    return '(no log)';
  }
}

async function within(work: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), limitMs)));
  return Promise.race([work.then(() => true), late]).finally(() => clearTimeout(timer));
}
