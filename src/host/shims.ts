import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { isCode } from '../base/errors.js';
import { kill } from './process.js';

const SIGKILL = 9;

/** A shim as containerd starts it: `containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET`. */
export interface ShimOf {
  readonly namespace: string;
  readonly id: string;
  /** The socket of its containerd. */
  readonly address: string;
}

/**
 * Kills the shim that was started for `id`; answers whether there was one. For a task that containerd has forgotten: a
 * containerd that is stopped while it starts a shim cleans up after it and may leave the process itself.
 */
export async function killShim(shim: ShimOf): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map(async (pid) => isShim(await commandLine(pid), shim)));
  const victims = pids.filter((_, index) => found[index]);
  for (const pid of victims) {
    try {
      kill(Number(pid), SIGKILL);
    } catch (thrown) {
      if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
    }
  }
  return victims.length > 0;
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
