import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { run, which } from './exec.js';
import { until } from './wait.js';

/** A runtime shim of one containerd, recognised by the socket on its command line. */
export interface Shim {
  readonly pid: number;
  readonly namespace: string;
  readonly id: string;
}

const DEATH_LIMIT_MS = 60_000;

export async function shimsOf(socket: string): Promise<Shim[]> {
  const shims: Shim[] = [];
  for (const { pid, args } of await processes()) {
    const option = (name: string): string => args[args.indexOf(name) + 1] ?? '';
    if (!args[0]?.includes('containerd-shim') || option('-address') !== socket) continue;
    shims.push({ pid, namespace: option('-namespace'), id: option('-id') });
  }
  return shims;
}

/** Kills the shims of a containerd and all processes below them, after the regular ways to stop them. */
export async function killShims(socket: string): Promise<void> {
  for (const { pid } of await shimsOf(socket)) {
    const family = [pid, ...(await descendants(pid))];
    for (const member of family) kill(member);
    await until(
      `processes of shim ${pid} end`,
      DEATH_LIMIT_MS,
      async () => (await Promise.all(family.map(statOf))).every((stat) => stat === undefined) || undefined,
    );
  }
}

/** Mount points at or below a folder, deepest first. */
export async function mountsBelow(folder: string): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  const points = text.split('\n').map((line) => unescape(line.split(' ')[4] ?? ''));
  return points
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
}

/** Unmounts everything below a folder and removes the folder. */
export async function removeTree(folder: string): Promise<void> {
  for (const point of await mountsBelow(folder)) {
    await run(which('umount') ?? 'umount', ['--lazy', point]).catch(() => undefined);
  }
  const left = await mountsBelow(folder);
  if (left.length > 0) throw new Error(`still mounted: ${left.join(', ')}`);
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

interface Process {
  readonly pid: number;
  readonly args: readonly string[];
}

export async function processes(): Promise<Process[]> {
  const found: Process[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    found.push({ pid: Number(name), args: line.split('\0') });
  }
  return found;
}

/** Returns the inode of a process's network namespace; "" if the process is gone. */
export async function netnsOf(pid: number): Promise<string> {
  const link = await readlink(`/proc/${pid}/ns/net`).catch(() => '');
  return /\d+/.exec(link)?.[0] ?? '';
}

/** Returns fields of /proc/PID/stat (proc_pid_stat(5)); undefined if the process does not exist or is a zombie. */
export async function statOf(pid: number): Promise<{ parent: number; startTicks: string } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name, which may itself contain spaces and parentheses.
  const [state, parent, ...more] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (stat === '' || state === 'Z') return undefined;
  return { parent: Number(parent), startTicks: more[17] ?? '' };
}

export async function descendants(pid: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const { pid: each } of await processes()) {
    const parent = (await statOf(each))?.parent ?? 0;
    children.set(parent, [...(children.get(parent) ?? []), each]);
  }
  const found: number[] = [];
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const below = children.get(next) ?? [];
    found.push(...below);
    queue.push(...below);
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended.
  }
}

// The kernel escapes space, tab, newline and backslash (proc_pid_mountinfo(5)).
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
