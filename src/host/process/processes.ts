import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { invalidArgument } from '../../base/errors.js';
import { signalNumber as knownSignal } from '../../base/signals.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';
import { systemCall } from '../syscall/libc.js';

/**
 * Sends a signal by number. NOT_FOUND when there is no such process; INVALID_ARGUMENT for a pid below 1, which would
 * mean a group.
 */
export function kill(pid: number, signal: number): void {
  if (!Number.isInteger(pid) || pid < 1) throw invalidArgument('pid', `${pid} is not a process id`);
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if (errnoName(thrown) !== 'ESRCH') throw fsError(thrown, `pid ${pid}`);
    const missing = Object.assign(new Error('no such process'), { code: 'ENOENT', syscall: 'kill' });
    throw fsError(missing, `pid ${pid}`);
  }
}

/**
 * Ends this process at once (_exit(2)), even while a file system blocks one of its threads, which `process.exit` joins.
 */
export const exitAtOnce = (code: number): void => void exit.sync(code);

/** Returns whether the process exists, including zombies. */
export function processExists(pid: number): boolean {
  try {
    kill(pid, 0);
    return true;
  } catch (thrown) {
    return errnoName(thrown) === 'EPERM';
  }
}

/**
 * Returns when the process started, in clock ticks since boot: with the pid it identifies one process for ever.
 * Undefined: the process is gone.
 */
export async function processStartTime(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): field 22; the second field is a name in parentheses that may contain any character.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT' || errnoName(thrown) === 'ESRCH') return undefined;
    throw fsError(thrown, `/proc/${pid}/stat`);
  }
}

/** Returns crid's own oom_score_adj, the lowest that it may give to other processes without CAP_SYS_RESOURCE. */
export async function selfOomScoreAdj(): Promise<number> {
  return Number(await translated('/proc/self/oom_score_adj', () => readFile('/proc/self/oom_score_adj', 'utf8')));
}

/** Returns whether crid may lower an oom_score_adj and raise hard rlimits (capabilities(7)). */
export function hasCapSysResource(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

/** Returns the number of a signal, given by name or number. INVALID_ARGUMENT for a signal that Linux does not have. */
export function signalNumber(signal: string): number {
  const number = knownSignal(signal);
  if (number === undefined) throw invalidArgument('signal', `unknown signal "${signal}"`);
  return number;
}

const exit = systemCall('_exit', ['int']);
const CAP_SYS_RESOURCE = 24n;
