import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { removeBridge } from './bridge.js';
import { containerdPaths } from './containerd-config.js';
import { killShims, processes, removeTree, statOf } from './leftovers.js';
import { removePodNetns } from './netns.js';
import { removeTaskTraces } from './task-traces.js';

interface Owner {
  readonly pid: number;
  /** The start time of the process in clock ticks after boot, because pids are reused. */
  readonly started: string;
  readonly bridge: string;
}

const FILE = 'owner.json';
/** The programs of a stack. Each has a file of the stack's folder on its command line. */
const PROGRAMS = ['containerd', 'docker-registry', 'kubelet', 'node'];

/** Records that this process owns a stack's folder. */
export async function claim(dir: string, bridge: string): Promise<void> {
  const owner: Owner = { pid: process.pid, started: await startOf(process.pid), bridge };
  await writeFile(join(dir, FILE), JSON.stringify(owner));
}

/** Removes the stacks of processes that were killed before they could remove them. */
export async function sweepAbandoned(): Promise<void> {
  for (const base of new Set([tmpdir(), '/tmp'])) {
    for (const name of await readdir(base).catch(() => [])) {
      if (!name.startsWith('crid-stack-')) continue;
      const dir = join(base, name);
      const owner = await ownerOf(dir);
      if (owner && (await startOf(owner.pid)) !== owner.started) await remove(dir, owner);
    }
  }
}

async function remove(dir: string, { bridge }: Owner): Promise<void> {
  const { socket, state } = containerdPaths(dir);
  await removePodNetns(socket, bridge);
  for (const { pid, args } of await processes()) {
    if (PROGRAMS.includes(basename(args[0] ?? '')) && args.some((arg) => arg.startsWith(`${dir}/`))) {
      process.kill(pid, 'SIGKILL');
    }
  }
  await killShims(socket);
  await removeTaskTraces(state);
  if (bridge) await removeBridge(bridge);
  await removeTree(dir);
}

async function ownerOf(dir: string): Promise<Owner | undefined> {
  const file = join(dir, FILE);
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch {
    // Half written: the stack is just starting.
    return undefined;
  }
}

const startOf = async (pid: number): Promise<string> => (await statOf(pid))?.startTicks ?? '';
