import { readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isCode } from '../../base/errors.js';
import { SIGKILL } from '../../base/signals.js';
import { readKernelFile } from '../files/kernel-files.js';
import { kill } from './processes.js';

/**
 * A process may fork during the search, so it is repeated. A process that survives this many rounds escapes on purpose.
 */
const ROUNDS = 5;
/** A read takes about 8 µs; after this many, the event loop gets a turn. */
const READS_A_TURN = 100;

/** Identifies one process for ever, since a pid alone may be reused. */
export interface ProcessIdentity {
  readonly pid: number;
  /** From `processStartTime`; undefined when the process had ended and its pid was free. */
  readonly startTime: number | undefined;
}

interface Stat {
  readonly pid: number;
  readonly isZombie: boolean;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTime: number;
}

/**
 * Kills a process with its session, its process group and its descendants. Succeeds when they are gone already. A
 * process that has left all three (setsid after a double fork) survives, as with any shell.
 *
 * When another process has the pid by now, nothing is killed: the kernel reuses a pid only when no process group and no
 * session has it as its id.
 */
export async function killTree({ pid, startTime }: ProcessIdentity): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const stats = await readStats();
    const root = stats.find((each) => each.pid === pid);
    if (root && root.startTime !== startTime) return;
    const victims = treeOf(pid, stats);
    if (victims.length === 0) return;
    for (const victim of victims) {
      try {
        kill(victim, SIGKILL);
      } catch (thrown) {
        if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
      }
    }
  }
}

/** Returns whether any process of the process group runs; a zombie does not. */
export async function groupRuns(group: number): Promise<boolean> {
  return (await readStats()).some((each) => each.group === group && !each.isZombie);
}

/** Returns the pids in `stats` that belong to `root`, without zombies. */
function treeOf(root: number, stats: readonly Stat[]): number[] {
  const members = new Set([root]);
  for (let size = 0; size !== members.size;) {
    size = members.size;
    for (const { pid, parent, group, session } of stats) {
      if (members.has(parent) || group === root || session === root) members.add(pid);
    }
  }
  return stats.filter(({ pid, isZombie }) => members.has(pid) && !isZombie).map(({ pid }) => pid);
}

async function readStats(): Promise<Stat[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats: Stat[] = [];
  for (let at = 0; at < names.length; at += READS_A_TURN) {
    if (at > 0) await nextTurn();
    for (const name of names.slice(at, at + READS_A_TURN)) {
      stats.push(...parseStat(readKernelFile(`/proc/${name}/stat`) ?? ''));
    }
  }
  return stats;
}

/**
 * Parses proc_pid_stat(5): `pid (comm) state ppid pgrp session …`, field 22 is the start time; comm may contain spaces
 * and parentheses.
 */
function parseStat(text: string): Stat[] {
  const end = text.lastIndexOf(')');
  if (end < 0) return [];
  const fields = text.slice(end + 2).split(' ');
  const [parent, group, session] = fields.slice(1, 4).map(Number) as [number, number, number];
  const pid = Number.parseInt(text, 10);
  return [{ pid, isZombie: fields[0] === 'Z', parent, group, session, startTime: Number(fields[19]) }];
}
