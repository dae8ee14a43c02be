import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isCode } from '../../base/errors.js';
import { SIGKILL } from '../../base/signals.js';
import { sleep } from '../../base/time.js';
import { withoutScheme } from '../../base/unix-socket.js';
import { beginWait } from '../../base/waits.js';
import { errnoName, fsError } from '../syscall/errno.js';
import { kill, processExists } from './processes.js';
import { unixSockets } from './unix-sockets.js';

/**
 * containerd itself ends a shim whose create was cut off. It calls the shim twice, for at most 5 s each
 * (`io.containerd.timeout.shim.cleanup`), and a shim that is killed meanwhile leaves the process that it was making. A
 * shim to which containerd is not connected is killed at once.
 */
export const CLEANUP_LIMIT_MS = 12_000;

const ASK_MS = 100;

/** A shim as containerd starts it: `containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET`. */
export interface ShimOf {
  readonly namespace: string;
  readonly id: string;
  /** The socket of its containerd. */
  readonly address: string;
}

export interface KillShimOptions {
  readonly graceMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether the shim serves other tasks, and has to stay. Asked only if there is a shim, also before it is killed. */
  readonly isUsed?: () => Promise<boolean>;
}

/**
 * Kills the shim that was started for `id`, unless it ends by itself within `graceMs`; returns whether it killed the
 * shim. For a task that containerd has forgotten: an interrupted create may leave its shim, whether or not containerd
 * still asks it to end. A shim without a connected client gets no more requests, so it is killed after 1 s.
 */
export async function killShim(
  shim: ShimOf,
  { graceMs = 0, signal, isUsed = () => Promise.resolve(false) }: KillShimOptions = {},
): Promise<boolean> {
  const endMs = performance.now() + graceMs;
  for (let pids = await pidsOf(shim); pids.length > 0; pids = await pidsOf(shim)) {
    if (await isUsed()) return false;
    const outcome = await watch(pids, endMs, signal);
    if (outcome === 'gone') continue;
    if (await isUsed()) return false;
    // Searches by command line again: another process may have the pid by now.
    const now = await pidsOf(shim);
    // containerd's own clean-up is a process with the same command line.
    if (outcome === 'left' && now.some((pid) => !pids.includes(pid))) continue;
    for (const pid of now) tryKill(pid);
    return now.length > 0;
  }
  return false;
}

/** Waits until all have ended, or no client is connected to any of them, or until `endMs`. */
async function watch(
  pids: readonly number[],
  endMs: number,
  signal: AbortSignal | undefined,
): Promise<'gone' | 'left' | 'late'> {
  const endWait = beginWait(() => `shim ${pids.join(', ')} to end`);
  let leftSinceMs: number | undefined;
  try {
    for (;;) {
      const alive = pids.filter(processExists);
      const nowMs = performance.now();
      if (alive.length === 0) return 'gone';
      if (nowMs >= endMs) return 'late';
      const served = (await Promise.all(alive.map(mayHaveClient))).some(Boolean);
      leftSinceMs = served ? undefined : (leftSinceMs ?? nowMs);
      if (leftSinceMs !== undefined && nowMs - leftSinceMs >= LEFT_MS) return 'left';
      await sleep(ASK_MS, signal);
    }
  } finally {
    endWait();
  }
}

/** containerd connects to a shim as soon as it has started it, and stays connected. */
const LEFT_MS = 1_000;

/**
 * Returns whether a process is connected to a socket that this one listens on. Also true for a process that listens on
 * no socket, which is not a serving shim, and for a process that cannot be inspected.
 */
async function mayHaveClient(pid: number): Promise<boolean> {
  try {
    const own = new Set(await socketsOf(pid));
    const sockets = await unixSockets(pid);
    const listening = new Set(
      sockets.filter(({ inode, listens, path }) => listens && path !== '' && own.has(inode)).map(({ path }) => path),
    );
    return listening.size === 0 || sockets.some(({ listens, path }) => !listens && listening.has(path));
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return true;
  }
}

/** Returns the inodes of the sockets that a process has open: `socket:[1234]`. */
async function socketsOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const links = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')));
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

function tryKill(pid: number): void {
  try {
    kill(pid, SIGKILL);
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  }
}

async function pidsOf(shim: ShimOf): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found: number[] = [];
  // A busy node has thousands of processes, and each read needs a descriptor and a buffer.
  for (let at = 0; at < pids.length; at += READS_AT_ONCE) {
    const some = pids.slice(at, at + READS_AT_ONCE);
    const are = await Promise.all(some.map(async (pid) => isShim(await commandLine(pid), shim)));
    found.push(...some.filter((_, index) => are[index]).map(Number));
  }
  return found;
}

const READS_AT_ONCE = 16;

/** Returns an empty list for a process that has ended. Any other failure is thrown: the process may be a shim. */
async function commandLine(pid: string): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  } catch (thrown) {
    if (ENDED.has(errnoName(thrown) ?? '')) return [];
    throw fsError(thrown, pid);
  }
}

const ENDED = new Set(['ENOENT', 'ESRCH']);

function isShim([program = '', ...args]: string[], { namespace, id, address }: ShimOf): boolean {
  const option = (name: string): string | undefined => args[args.indexOf(name) + 1];
  return (
    basename(program).startsWith('containerd-shim-') &&
    args.includes('-id') &&
    option('-id') === id &&
    option('-namespace') === namespace &&
    option('-address') === withoutScheme(address)
  );
}
