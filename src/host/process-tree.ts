import { readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isCode } from '../base/errors.js';
import { readKernelFile } from './cgroup-files.js';
import { kill } from './process.js';

const SIGKILL = 9;
/** A process may fork while it is being looked for; after so many rounds what is left has left on purpose. */
const ROUNDS = 5;
/** Some 8 µs each; then others have their turn. */
const READS_A_TURN = 100;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/**
 * Kills a process with its session, its process group and its descendants. Succeeds when they are gone already. Who
 * has left all three (setsid after a double fork) lives on, as with any shell.
 */
export async function killTree(pid: number): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const victims = treeOf(pid, await readStats());
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

/** Whether any process of that process group runs; a zombie does not. */
export async function groupRuns(group: number): Promise<boolean> {
  return (await readStats()).some((each) => each.group === group);
}

/** Every process of `stats` that belongs to `root`, zombies left out. */
function treeOf(root: number, stats: readonly Stat[]): number[] {
  const members = new Set([root]);
  for (let size = 0; size !== members.size;) {
    size = members.size;
    for (const { pid, parent, group, session } of stats) {
      if (members.has(parent) || group === root || session === root) members.add(pid);
    }
  }
  return stats.filter(({ pid }) => members.has(pid)).map(({ pid }) => pid);
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

/** proc_pid_stat(5): `pid (comm) state ppid pgrp session …`; comm may hold spaces and parentheses. */
function parseStat(text: string): Stat[] {
  const end = text.lastIndexOf(')');
  if (end < 0) return [];
  const [state, parent, group, session] = text.slice(end + 2).split(' ');
  if (state === 'Z') return [];
  return [{ pid: Number.parseInt(text, 10), parent: Number(parent), group: Number(group), session: Number(session) }];
}
