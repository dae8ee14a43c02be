import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { sleep } from '../base/time.js';
import { errnoName } from '../host/errno.js';

/** How a plugin's process ended. */
export type Ended =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'died'; readonly signal: string; readonly stderr: string }
  | { readonly kind: 'not started'; readonly reason: string }
  | { readonly kind: 'too much output' }
  | { readonly kind: 'timed out' }
  | { readonly kind: 'aborted' };

export interface ProcessOptions {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export const MAX_OUTPUT_BYTES = 1024 * 1024;
/** How long output is awaited after the process has gone: a daemon it left behind may hold the pipes for ever. */
const DRAIN_MS = 2000;
/** How long a killed process is awaited: one in an uninterruptible call does not die. */
const KILLED_MS = 1000;
const BUSY_TRIES = 5;
const BUSY_PAUSE_MS = 500;

/** Runs a program in a process group of its own; kills the whole group when time, patience or room runs out. */
export async function runProcess(options: ProcessOptions): Promise<Ended> {
  for (let attempt = 1; ; attempt++) {
    const ended = await runOnce(options);
    // The binary is being written right now, as installers of CNI plugins do on a live node.
    const busy = ended.kind === 'not started' && ended.reason.includes('ETXTBSY');
    if (!busy || attempt === BUSY_TRIES || options.signal.aborted) return ended;
    await sleep(BUSY_PAUSE_MS);
  }
}

function runOnce({ path, env, stdin, timeoutMs, signal }: ProcessOptions): Promise<Ended> {
  if (signal.aborted) return Promise.resolve({ kind: 'aborted' });
  return new Promise((resolve) => {
    const notStarted = (error: unknown): void =>
      resolve({ kind: 'not started', reason: errnoName(error) ?? String(error) });
    let child: ChildProcessWithoutNullStreams;
    try {
      child = spawn(path, [], { env, cwd: '/', detached: true, stdio: 'pipe' });
    } catch (thrown) {
      return notStarted(thrown);
    }
    // Out of file descriptors, Node answers with a child that has no pipes.
    if ((child as ChildProcess).stdout === undefined) {
      child.once('error', notStarted);
      return;
    }
    let exited = false;
    let killed = false;
    let late: NodeJS.Timeout | undefined;
    const settle = (ended: Ended): void => {
      clearTimeout(timer);
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      resolve(ended);
    };
    const kill = (ended: Ended): void => {
      if (exited) return settle(ended);
      if (killed) return;
      killed = true;
      killGroup(child.pid);
      child.removeAllListeners('close');
      child.once('exit', () => settle(ended));
      late = setTimeout(() => settle(ended), KILLED_MS);
    };
    const timer = setTimeout(() => kill({ kind: 'timed out' }), timeoutMs);
    const onAbort = (): void => kill({ kind: 'aborted' });
    signal.addEventListener('abort', onAbort, { once: true });

    const stdout = collect(child.stdout, () => kill({ kind: 'too much output' }));
    const stderr = collect(child.stderr, () => kill({ kind: 'too much output' }));
    const finish = (): void => settle(endOf(child, stdout(), stderr()));
    child.once('error', (error) => settle({ kind: 'not started', reason: errnoName(error) ?? error.message }));
    child.once('exit', () => {
      exited = true;
      late ??= setTimeout(finish, DRAIN_MS);
    });
    child.once('close', finish);
    // A plugin may answer without reading its configuration; the broken pipe is its own affair.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

function endOf(child: ChildProcessWithoutNullStreams, stdout: string, stderr: string): Ended {
  if (child.signalCode !== null) return { kind: 'died', signal: child.signalCode, stderr };
  return { kind: 'exited', code: child.exitCode ?? 0, stdout, stderr };
}

function collect(stream: NodeJS.ReadableStream, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    else {
      stream.removeAllListeners('data');
      stream.pause();
      onTooMuch();
    }
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: it went by itself.
  }
}
