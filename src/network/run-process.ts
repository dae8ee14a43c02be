import { sleep } from '../base/time.js';
import { spawnProgram, type ExitStatus, type Spawned } from '../host/process/spawn.js';
import { errnoName } from '../host/syscall/errno.js';

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
/** How long to wait for output after the process has ended: a daemon it started may hold the pipes open for ever. */
const DRAIN_MS = 2000;
/**
 * How long a process may run on after `signal` has aborted. A killed plugin may leave what cannot be released:
 * host-local reserves an address with a file that does not name its owner for a moment.
 */
const LET_FINISH_MS = 3000;
const BUSY_TRIES = 5;
const BUSY_PAUSE_MS = 500;

/**
 * Runs a program in its own process group. Kills the whole group on a timeout or too much output, and `LET_FINISH_MS`
 * after `signal` has aborted. A killed process is gone when this resolves, so that it cannot interfere with the next
 * plugin.
 */
export async function runProcess(options: ProcessOptions): Promise<Ended> {
  for (let attempt = 1; ; attempt++) {
    const ended = await runOnce(options);
    // The binary is being written now: installers of CNI plugins do that on a live node.
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
    // The abort may have come while the process was being started.
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
    // A plugin may succeed without reading its configuration: ignore the broken pipe.
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
