import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
  /** The program's stdin; empty by default. */
  readonly input?: string;
}

const TIMEOUT_MS = 60_000;
const RETRY_PAUSE_MS = 2000;
const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;
const SHOWN_LINES = 12;

/** Runs a program until it ends and returns its stdout. An error contains the command and the end of its output. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { cwd, env = process.env, timeoutMs = TIMEOUT_MS, input = '' } = options;
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_LIMIT_BYTES } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(program, [...args], { cwd, env, ...limits }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const why = error.killed ? `took longer than ${timeoutMs} ms` : lastLines(stderr || stdout) || error.message;
      reject(new Error(`${[program, ...args].join(' ')}: ${why}`, { cause: error }));
    });
    // A program that ends without reading its input has not failed.
    child.stdin?.on('error', () => undefined).end(input);
  });
}

/** The same with up to `tries` attempts, for programs that use the network. */
export const runWithRetries = (
  tries: number,
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> => withRetries(tries, () => run(program, args, options));

/** As `runWithRetries`, for work that has to prepare each attempt. */
export async function withRetries<T>(tries: number, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      if (attempt >= tries) throw thrown;
      await sleep(RETRY_PAUSE_MS);
    }
  }
}

/** Returns the path of a program in PATH, or in the system folders that a user's PATH may not contain. */
export function which(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-SHOWN_LINES).join('\n');
