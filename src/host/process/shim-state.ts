import { readdirSync } from 'node:fs';
import { readKernelFile } from '../files/kernel-files.js';

/** proc_pid_stat(5), field 3. */
const STATES: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'in uninterruptible sleep',
  T: 'stopped',
  t: 'stopped by a tracer',
  Z: 'zombie',
};
/** A search for shims costs about 10 µs per process of the node, so there is at most one in this time. */
const FRESH_MS = 1_000;

/** The shims of a containerd namespace. For messages only, never for a decision, since a pid may be reused. */
export interface ShimStates {
  /** Returns `shim 42 (stopped)` for the first of the ids that a shim was started with, or `no shim`. */
  describe(...ids: readonly string[]): string;
}

export function createShimStates({ namespace }: { namespace: string }): ShimStates {
  let pids: ReadonlyMap<string, number> = new Map();
  let readAtMs = -Infinity;

  const find = (ids: readonly string[]): number | undefined => {
    for (const id of ids) if (pids.has(id)) return pids.get(id);
    return undefined;
  };

  return {
    describe(...ids) {
      let pid = find(ids);
      const state = pid === undefined ? undefined : stateOf(pid);
      if (state === undefined && performance.now() - readAtMs > FRESH_MS) {
        readAtMs = performance.now();
        pids = readShims(namespace);
        pid = find(ids);
      }
      const now = pid === undefined ? undefined : (state ?? stateOf(pid));
      return now === undefined ? 'no shim' : `shim ${pid} (${now})`;
    },
  };
}

/** Returns the pids of shims by the id that each was started with: `containerd-shim-runc-v2 -namespace NS -id ID …`. */
function readShims(namespace: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const name of readdirSync('/proc')) {
    // The kernel truncates a program's name to 15 characters.
    if (!/^\d+$/.test(name) || readKernelFile(`/proc/${name}/comm`)?.trim() !== 'containerd-shim') continue;
    const args = (readKernelFile(`/proc/${name}/cmdline`) ?? '').split('\0');
    const option = (flag: string): string | undefined => args[args.indexOf(flag) + 1];
    const id = option('-id');
    if (args.includes('-id') && id !== undefined && option('-namespace') === namespace) found.set(id, Number(name));
  }
  return found;
}

/** Returns undefined when the process is gone or is not a shim any more. */
function stateOf(pid: number): string | undefined {
  const stat = readKernelFile(`/proc/${pid}/stat`) ?? '';
  if (!stat.includes('(containerd-shim)')) return undefined;
  const letter = stat.charAt(stat.lastIndexOf(')') + 2);
  return STATES[letter] ?? letter;
}
