import { statfsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../files/files.js';
import { mountOf, readMountInfo, type MountInfo } from '../mount/mountinfo.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';

/** The cgroup controllers that this host offers to containers. */
export interface CgroupControllers {
  /** `cpu`, `cpuset`, `memory`, `pids`, `hugetlb`, `blkio` (v1), `io` (v2), … */
  readonly names: ReadonlySet<string>;
  /** Whether swap is accounted, so that a swap limit can be set. */
  readonly swap: boolean;
  /** Whether huge pages can be limited. On the hybrid layout only v1 controllers count, as for the OCI runtimes. */
  readonly hugetlb: boolean;
}

/** Returns 2 when /sys/fs/cgroup is the unified hierarchy, 1 for the legacy and the hybrid layout. */
export const cgroupVersion = (): 1 | 2 => (statfsSync(ROOT).type === CGROUP2_SUPER_MAGIC ? 2 : 1);

/**
 * Returns a process's path in each hierarchy, keyed by controller ("" for the unified one). Undefined: no such process.
 */
export async function cgroupPathsOf(pid: number): Promise<ReadonlyMap<string, string> | undefined> {
  const text = await readIfThere(`/proc/${pid}/cgroup`);
  return text === undefined ? undefined : parseCgroupPaths(text);
}

/** Parses `/proc/PID/cgroup` (cgroups(7)): `4:cpu,cpuacct:/path`, `0::/path`. */
export function parseCgroupPaths(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(',')) paths.set(controller, path);
  }
  return paths;
}

/**
 * Returns how many processes of a cgroup the OOM killer has killed. `of` is a pid in the cgroup, or the cgroup's path
 * below its hierarchy (`/kubepods/…`). Undefined when the process or the cgroup is gone, or has no memory controller.
 */
export async function oomKillCount(of: number | string): Promise<number | undefined> {
  const version = cgroupVersion();
  const path = typeof of === 'string' ? of : (await cgroupPathsOf(of))?.get(version === 2 ? '' : 'memory');
  if (path === undefined) return undefined;
  const directory = version === 2 ? join(ROOT, path) : await legacyDirectory('memory', path);
  if (directory === undefined) return undefined;
  const text = await readIfThere(join(directory, version === 2 ? 'memory.events' : 'memory.oom_control'));
  const count = /^oom_kill (\d+)$/m.exec(text ?? '')?.[1];
  return count === undefined ? undefined : Number(count);
}

export async function cgroupControllers(): Promise<CgroupControllers> {
  const { names, swap } = await (cgroupVersion() === 2 ? unifiedControllers() : legacyControllers());
  return { names, swap, hugetlb: names.has('hugetlb') };
}

/**
 * Returns the mount options of the unified hierarchy at /sys/fs/cgroup: `nsdelegate`, `memory_recursiveprot`, …,
 * without those of every file system. Empty for cgroup v1.
 */
export async function cgroupMountOptions(): Promise<readonly string[]> {
  if (cgroupVersion() === 1) return [];
  const options = mountOf(ROOT, await readMountInfo())?.superOptions ?? [];
  return options.filter((option) => !OF_ANY_FILE_SYSTEM.has(option));
}

const ROOT = '/sys/fs/cgroup';
const OF_ANY_FILE_SYSTEM = new Set(['rw', 'ro', 'seclabel']);
const CGROUP2_SUPER_MAGIC = 0x63677270;
const NOT_CONTROLLERS = /^(rw|ro|xattr|noprefix|clone_children|release_agent=.*|name=.*)$/;

async function unifiedControllers(): Promise<{ names: Set<string>; swap: boolean }> {
  const names = await translated(ROOT, () => readFile(join(ROOT, 'cgroup.controllers'), 'utf8'));
  return { names: new Set(names.split(/\s+/).filter(Boolean)), swap: await unifiedSwap() };
}

async function legacyControllers(): Promise<{ names: Set<string>; swap: boolean }> {
  const mounts = await legacyMounts();
  const memory = mounts.find((mount) => mount.superOptions.includes('memory'));
  return {
    names: new Set(mounts.flatMap((mount) => mount.superOptions).filter((option) => !NOT_CONTROLLERS.test(option))),
    swap: memory !== undefined && (await exists(join(memory.mountPoint, 'memory.memsw.limit_in_bytes'))),
  };
}

const legacyMounts = async (): Promise<MountInfo[]> =>
  (await readMountInfo()).filter((mount) => mount.fstype === 'cgroup');

async function legacyDirectory(controller: string, path: string): Promise<string | undefined> {
  const mount = (await legacyMounts()).find((candidate) => candidate.superOptions.includes(controller));
  if (mount === undefined) return undefined;
  // Inside a container the mount shows a part of the hierarchy, while paths in /proc start at the hierarchy's root.
  const inside = mount.root !== '/' && path.startsWith(mount.root) ? path.slice(mount.root.length) : path;
  return join(mount.mountPoint, inside);
}

// The root cgroup has no memory.swap.max: look in crid's own cgroup, or in a child of the root if crid is in the root.
async function unifiedSwap(): Promise<boolean> {
  const own = (await cgroupPathsOf(process.pid))?.get('') ?? '/';
  if (own !== '/') return exists(join(ROOT, own, 'memory.swap.max'));
  const children = await translated(ROOT, () => readdir(ROOT, { withFileTypes: true }));
  const child = children.find((entry) => entry.isDirectory());
  return child !== undefined && exists(join(ROOT, child.name, 'memory.swap.max'));
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    // ENODEV: the cgroup was removed after the open; ESRCH: the process ended after it.
    if (['ENOENT', 'ESRCH', 'ENODEV'].includes(errnoName(thrown) ?? '')) return undefined;
    throw fsError(thrown, path);
  }
}
