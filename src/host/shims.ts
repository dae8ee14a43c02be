import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { isCode } from '../base/errors.js';
import { sleep } from '../base/time.js';
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
  const found = await Promise.all(pids.map(async (pid) => isShim(await commandLine(pid), shim)));
  return pids.filter((_, index) => found[index]).map(Number);
}

const commandLine = async (pid: string): Promise<string[]> =>
  (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');

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
