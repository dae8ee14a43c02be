import { Socket } from 'node:net';
import { constants as os } from 'node:os';
import { sleep } from '../../base/time.js';
import { O_CLOEXEC, closeFd, pipe2 } from '../syscall/common-calls.js';
import { errnoError } from '../syscall/errno.js';
import { call, systemCall, type SystemCall } from '../syscall/libc.js';
import { groupRuns } from './process-tree.js';

/** How a process ended: with an exit code, or by the named signal. */
export type ExitStatus = { readonly code: number } | { readonly signal: string };

export interface Spawned {
  readonly stdin: Socket;
  readonly stdout: Socket;
  readonly stderr: Socket;
  /** Resolves once, when the process is gone and reaped; never rejects. */
  readonly exited: Promise<ExitStatus>;
  /**
   * Sends SIGKILL to its whole process group, and resolves when no process of the group runs any more, or after a
   * second. Does nothing once the process is reaped, since its pid may be reused.
   */
  killGroup(): Promise<void>;
}

/**
 * Starts a program in `/` and in a session of its own, with a pipe for each of stdin, stdout and stderr. Throws a
 * CriError whose cause carries the errno. fork(2), which node:child_process uses, copies the page tables of the whole
 * server and meanwhile stops every thread that touches memory. posix_spawn(3) shares the memory until the exec, and
 * blocks only the pool's thread that it runs on.
 */
export async function spawnProgram(path: string, env: Readonly<Record<string, string>>): Promise<Spawned> {
  const pipes = openPipes();
  const [stdin, stdout, stderr] = pipes;
  const actions = Buffer.alloc(OPAQUE_BYTES);
  const pid = new Int32Array(1);
  try {
    check('posix_spawn_file_actions_init', path, initActions.sync(actions));
    try {
      check('posix_spawn_file_actions_addchdir_np', path, addChdir.sync(actions, '/'));
      for (const [target, fd] of [stdin.read, stdout.write, stderr.write].entries()) {
        check('posix_spawn_file_actions_adddup2', path, addDup2.sync(actions, fd, target));
      }
      const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      const spawning = posixSpawn.async(pid, path, actions, attributes(), [path, null], [...variables, null]);
      check('posix_spawn', path, (await spawning).result);
    } finally {
      destroyActions.sync(actions);
    }
  } catch (thrown) {
    for (const { read, write } of pipes) for (const fd of [read, write]) closeFd.sync(fd);
    throw thrown;
  }
  for (const fd of [stdin.read, stdout.write, stderr.write]) closeFd.sync(fd);
  return watch(pid[0] ?? -1, {
    stdin: new Socket({ fd: stdin.write, readable: false, writable: true }),
    stdout: new Socket({ fd: stdout.read, readable: true, writable: false }),
    stderr: new Socket({ fd: stderr.read, readable: true, writable: false }),
  });
}

/**
 * Checks whether the process has ended when one of its pipes ends, which is nearly always the same moment. It also
 * polls, since a descendant may hold the pipes. libuv reaps only its own children, not this one.
 */
function watch(pid: number, streams: Pick<Spawned, 'stdin' | 'stdout' | 'stderr'>): Spawned {
  let status: ExitStatus | undefined;
  let pauseMs = MAX_PAUSE_MS;
  let timer: NodeJS.Timeout;
  let onExit: (status: ExitStatus) => void;
  const exited = new Promise<ExitStatus>((resolve) => (onExit = resolve));
  const ask = (): void => {
    clearTimeout(timer);
    if (status) return;
    status = reap(pid);
    if (status) return onExit(status);
    timer = setTimeout(ask, pauseMs);
    pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
  };
  const askSoon = (): void => {
    pauseMs = MIN_PAUSE_MS;
    ask();
  };
  timer = setTimeout(ask, pauseMs);
  for (const stream of [streams.stdout, streams.stderr]) stream.once('close', askSoon);
  return {
    ...streams,
    exited,
    async killGroup() {
      if (status) return;
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // ESRCH: it has ended by itself.
      }
      askSoon();
      const endMs = performance.now() + GROUP_GONE_MS;
      for (let waitMs = MIN_PAUSE_MS; performance.now() < endMs && (await groupRuns(pid)); waitMs *= 2)
        await sleep(waitMs);
    },
  };
}

const MIN_PAUSE_MS = 1;
const MAX_PAUSE_MS = 100;
/** A limit, since a process in an uninterruptible system call does not die. */
const GROUP_GONE_MS = 1000;

/** Returns the status of a child that has ended, and reaps it; undefined while it runs. */
function reap(pid: number): ExitStatus | undefined {
  const word = new Int32Array(1);
  const found = waitpid.sync(pid, word, WNOHANG);
  if (found === 0) return undefined;
  if (found !== pid) return { signal: 'unknown signal' };
  // wait(2), as WIFEXITED and its related macros: the signal is in the lowest seven bits, the code in the byte above.
  const status = word[0] ?? 0;
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal: signalNames.get(signal) ?? `signal ${signal}` };
}

interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** Opens three pipes, or none: when descriptors run out, those already opened are closed. */
function openPipes(): [Pipe, Pipe, Pipe] {
  const opened: Pipe[] = [];
  const open = (): Pipe => {
    const ends: [number, number] = [-1, -1];
    call(pipe2, 'of a process', ends, O_CLOEXEC);
    const pipe = { read: ends[0], write: ends[1] };
    opened.push(pipe);
    return pipe;
  };
  try {
    return [open(), open(), open()];
  } catch (thrown) {
    for (const { read, write } of opened) for (const fd of [read, write]) closeFd.sync(fd);
    throw thrown;
  }
}

/** These functions return an errno instead of setting it. */
function check(name: string, path: string, errno: number): void {
  if (errno !== 0) throw errnoError(name, path, errno);
}

let made: Buffer | undefined;

/** Default action for every signal, no signal blocked, and a new session; the same for all programs. */
function attributes(): Buffer {
  if (made) return made;
  const fresh = Buffer.alloc(OPAQUE_BYTES);
  check('posix_spawnattr_init', '', initAttributes.sync(fresh));
  check('posix_spawnattr_setsigdefault', '', setDefaults.sync(fresh, Buffer.alloc(SIGSET_BYTES, 0xff)));
  check('posix_spawnattr_setsigmask', '', setMask.sync(fresh, Buffer.alloc(SIGSET_BYTES)));
  check('posix_spawnattr_setflags', '', setFlags.sync(fresh, SETSIGDEF | SETSIGMASK | SETSID));
  return (made = fresh);
}

/** Larger than posix_spawnattr_t (336 bytes) and posix_spawn_file_actions_t (80) in glibc and musl. */
const OPAQUE_BYTES = 1024;
const SIGSET_BYTES = 128;
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const WNOHANG = 1;

const signalNames = new Map(Object.entries(os.signals).map(([name, number]) => [number, name]));

const onOpaque = (name: string, ...args: string[]): SystemCall => systemCall(name, ['void *', ...args]);
const initActions = onOpaque('posix_spawn_file_actions_init');
const destroyActions = onOpaque('posix_spawn_file_actions_destroy');
const addDup2 = onOpaque('posix_spawn_file_actions_adddup2', 'int', 'int');
const addChdir = onOpaque('posix_spawn_file_actions_addchdir_np', 'str');
const initAttributes = onOpaque('posix_spawnattr_init');
const setDefaults = onOpaque('posix_spawnattr_setsigdefault', 'void *');
const setMask = onOpaque('posix_spawnattr_setsigmask', 'void *');
const setFlags = onOpaque('posix_spawnattr_setflags', 'short');
const posixSpawn = systemCall('posix_spawn', ['_Out_ int *', 'str', 'void *', 'void *', 'str *', 'str *']);
const waitpid = systemCall('waitpid', ['int', '_Out_ int *', 'int']);
