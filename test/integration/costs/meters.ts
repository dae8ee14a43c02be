import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killOnExit } from '../../../tools/stack/disposers.js';
import { hasProgram, installHostPackages, missingPackages } from '../../../tools/stack/host-packages.js';
import { until } from '../../../tools/stack/wait.js';
import type { Crid, CridOptions } from '../../harness/crid.js';

/** Counts by name that only grow. */
export type Counts = Readonly<Record<string, number>>;

/** Counts what a running crid does. */
export interface Meter {
  read(): Promise<Counts>;
  close(): Promise<void>;
}

const LIMIT_MS = 30_000;

/** Counts the calls to containerd in crid's log, which has to be on the level `debug`: each is there when it ends. */
export function callMeter(crid: Crid): Meter {
  return {
    async read() {
      const counts: Record<string, number> = {};
      for (const { msg, method } of await crid.logLines()) {
        if (msg === 'containerd call' && typeof method === 'string') counts[method] = (counts[method] ?? 0) + 1;
      }
      return counts;
    },
    close: () => Promise.resolve(),
  };
}

/** The environment of a crid on which `heapMeter` works. */
export const heapMeterEnv = (file: string): NonNullable<CridOptions['env']> => ({
  NODE_OPTIONS: `--import=${new URL('heap-meter.js', import.meta.url).href}`,
  CRID_TEST_HEAP_FILE: file,
});

/** Counts the bytes that crid's main thread allocates on its heap, as `bytes`. */
export function heapMeter(crid: Crid, file: string): Meter {
  let asked = 0;
  return {
    async read() {
      asked++;
      process.kill(crid.pid(), 'SIGUSR2');
      const bytes = await until('crid tells what it has allocated', LIMIT_MS, async () => {
        const [answers, allocated] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ').map(Number);
        return answers === asked ? allocated : undefined;
      });
      return { bytes };
    },
    close: () => Promise.resolve(),
  };
}

/** Installs what `kernelMeter` runs. */
export async function installMissing(): Promise<void> {
  const missing = await missingPackages([{ package: 'strace', isHere: hasProgram('strace') }]);
  if (missing.length > 0) await installHostPackages(missing);
}

/**
 * Counts the system calls of a process's threads with strace: `systemCalls`, and among them `fsyncs` and `processes`
 * that were started. Left out are calls whose number depends on the garbage collector and on how threads meet.
 */
export async function kernelMeter(pid: number, dir: string): Promise<Meter> {
  const file = join(dir, 'strace');
  const threads = readdirSync(`/proc/${pid}/task`);
  // With -f, the threads that the process has are attached too.
  const args = ['-f', '-q', '-e', 'signal=none', '-s', '0', '-o', file, '-p', `${pid}`];
  const child = spawn('strace', args, { stdio: 'inherit' });
  const hasEnded = killOnExit(child.pid ?? 0);
  const isTraced = (thread: string): boolean =>
    /^TracerPid:\t[1-9]/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'));
  await until('strace is attached', LIMIT_MS, () => Promise.resolve(threads.every(isTraced) || undefined));
  return {
    async read() {
      const counts = { systemCalls: 0, fsyncs: 0, processes: 0 };
      for (const line of callsOf(threads, await readFile(file, 'utf8'))) {
        const name = /^\d+ +(\w+)\(/.exec(line)?.[1];
        if (name === undefined || UNSTEADY.test(name)) continue;
        counts.systemCalls++;
        if (/^f(data)?sync$/.test(name)) counts.fsyncs++;
        if (/^(clone3?|v?fork)$/.test(name) && !line.includes('CLONE_THREAD')) counts.processes++;
      }
      return counts;
    },
    async close() {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
      hasEnded();
    },
  };
}

/**
 * Returns the lines of the threads and of those that they have started. The calls of other processes that strace
 * follows, such as CNI plugins, are theirs.
 */
function callsOf(threads: readonly string[], trace: string): string[] {
  const known = new Set(threads);
  /** Threads whose call that starts a thread has not ended. */
  const starting = new Set<string>();
  return trace.split('\n').filter((line) => {
    const [id = '', call = ''] = line.split(/ +/, 2);
    if (!known.has(id)) return false;
    if (line.includes('CLONE_THREAD')) starting.add(id);
    if (!/^(<\.\.\.|clone)/.test(call) || !starting.has(id) || line.endsWith('<unfinished ...>')) return true;
    starting.delete(id);
    const started = / = (\d+)$/.exec(line)?.[1];
    if (started !== undefined) known.add(started);
    return true;
  });
}

const UNSTEADY =
  /^(futex|sched_yield|epoll_p?wait2?|restart_syscall|clock_nanosleep|m(advise|protect|map|unmap)|brk|rt_sig\w+|getrusage|gettid|tgkill)$/;
