import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { isCode } from '../base/errors.js';
import { sleep } from '../base/time.js';
import { errnoName, fsError } from './errno.js';
import { kill, processExists } from './process.js';

const SIGKILL = 9;
const ASK_MS = 50;

/** A shim as containerd starts it: `containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET`. */
export interface ShimOf {
  readonly namespace: string;
  readonly id: string;
  /** The socket of its containerd. */
  readonly address: string;
}

/**
 * Kills the shim that was started for `id`, unless it ends by itself within `graceMs`; answers whether it had to. For a
 * task that containerd has forgotten: a containerd that is stopped while it starts a shim cleans up after it and may leave
 * the process itself.
 */
export async function killShim(
  shim: ShimOf,
  { graceMs = 0, signal }: { graceMs?: number; signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  const endMs = performance.now() + graceMs;
  let pids = await pidsOf(shim);
  while (pids.length > 0 && performance.now() < endMs) {
    await sleep(ASK_MS, signal);
    pids = pids.filter(processExists);
  }
  // By its name once more: its number may be another's by now.
  pids = pids.length > 0 ? await pidsOf(shim) : [];
  for (const pid of pids) tryKill(pid);
  return pids.length > 0;
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
  // A busy node has thousands, each with a descriptor and a buffer while it is read.
  for (let at = 0; at < pids.length; at += READS_AT_ONCE) {
    const some = pids.slice(at, at + READS_AT_ONCE);
    const are = await Promise.all(some.map(async (pid) => isShim(await commandLine(pid), shim)));
    found.push(...some.filter((_, index) => are[index]).map(Number));
  }
  return found;
}

const READS_AT_ONCE = 16;

/** Empty for a process that has ended; any other failure says nothing of whether it is a shim. */
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
    option('-address') === address.replace(/^unix:\/\//, '')
  );
}
