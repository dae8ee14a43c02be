import { sleep } from '../base/time.js';
import { errnoName } from '../host/errno.js';
import { spawnProgram, type ExitStatus, type Spawned } from '../host/spawn.js';

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
/**
 * How long a process may go on after nobody wants its answer any more. One that is killed may leave what nobody can take
 * back: host-local reserves an address by a file that, for a moment, does not say whose it is.
 */
const LET_FINISH_MS = 3000;
const BUSY_TRIES = 5;
const BUSY_PAUSE_MS = 500;

/**
 * Runs a program in a process group of its own; kills the whole group when time or room runs out, and some time after
 * `signal` has aborted. What is killed is gone when this resolves: its last deeds come before the next plugin's.
 */
export async function runProcess(options: ProcessOptions): Promise<Ended> {
  for (let attempt = 1; ; attempt++) {
    const ended = await runOnce(options);
    // The binary is being written right now, as installers of CNI plugins do on a live node.
    const busy = ended.kind === 'not started' && ended.reason.includes('ETXTBSY');
    if (!busy || attempt === BUSY_TRIES || options.signal.aborted) return ended;
    await sleep(BUSY_PAUSE_MS);
  }
}

async function runOnce({ path, env, stdin, timeoutMs, signal }: ProcessOptions): Promise<Ended> {
  if (signal.aborted) return { kind: 'aborted' };
  let child: Spawned;
  try {
    child = await spawnProgram(path, env);
  } catch (thrown) {
    return { kind: 'not started', reason: errnoName(thrown) ?? String(thrown) };
  }
  return new Promise((resolve) => {
    let exit: ExitStatus | undefined;
    let killed = false;
    let late: NodeJS.Timeout | undefined;
    let lastly: NodeJS.Timeout | undefined;
    const settle = (ended: Ended): void => {
      clearTimeout(timer);
      clearTimeout(late);
      clearTimeout(lastly);
      signal.removeEventListener('abort', onAbort);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      resolve(ended);
    };
    const kill = (ended: Ended): void => {
      if (exit) return settle(ended);
      if (killed) return;
      killed = true;
      child.killGroup().then(
        () => settle(ended),
        () => settle(ended),
      );
    };
    const timer = setTimeout(() => kill({ kind: 'timed out' }), timeoutMs);
    const onAbort = (): void => void (lastly = setTimeout(() => kill({ kind: 'aborted' }), LET_FINISH_MS));
    signal.addEventListener('abort', onAbort, { once: true });
    // It may have come while the process was being started.
    if (signal.aborted) onAbort();

    const stdout = collect(child.stdout, () => kill({ kind: 'too much output' }));
    const stderr = collect(child.stderr, () => kill({ kind: 'too much output' }));
    const finish = (): void => {
      if (exit && !killed) settle(endOf(exit, stdout(), stderr()));
    };
    child.exited.then(
      (status) => {
        exit = status;
        if (killed) return;
        if (child.stdout.closed && child.stderr.closed) finish();
        else late = setTimeout(finish, DRAIN_MS);
      },
      (thrown: unknown) => kill({ kind: 'not started', reason: String(thrown) }),
    );
    for (const stream of [child.stdout, child.stderr]) {
      stream.once('close', () => child.stdout.closed && child.stderr.closed && finish());
    }
    // A plugin may answer without reading its configuration; the broken pipe is its own affair.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

function endOf(exit: ExitStatus, stdout: string, stderr: string): Ended {
  if ('signal' in exit) return { kind: 'died', signal: exit.signal, stderr };
  return { kind: 'exited', code: exit.code, stdout, stderr };
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
