import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ExecOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 60_000;
const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;
const SHOWN_LINES = 12;

/** Runs a program to its end and answers its stdout; an error says what was run and ends with what it printed. */
export function exec(program: string, args: readonly string[], options: ExecOptions = {}): Promise<string> {
  const { cwd, env = process.env, timeoutMs = TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    execFile(
      program,
      [...args],
      { cwd, env, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_LIMIT_BYTES },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        const why = error.killed ? `took longer than ${timeoutMs} ms` : reason(error, stderr || stdout);
        reject(new Error(`${[program, ...args].join(' ')}: ${why}`, { cause: error }));
      },
    );
  });
}

/** Tries `work` up to `attempts` times, `pauseMs` apart, and throws its last error. */
export async function retry<T>(attempts: number, pauseMs: number, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      if (attempt >= attempts) throw thrown;
      await sleep(pauseMs);
    }
  }
}

/** Asks `look` every `pauseMs` until it answers something other than undefined; throws after `timeoutMs`. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined> | T | undefined,
  pauseMs = 50,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() >= endMs) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(pauseMs);
  }
}

const reason = (error: Error, output: string): string =>
  output.trim().split('\n').slice(-SHOWN_LINES).join('\n') || error.message;
