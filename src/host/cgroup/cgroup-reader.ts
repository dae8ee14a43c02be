import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupUsage } from '../../base/cgroup-usage.js';
import { readKernelFile } from '../files/kernel-files.js';
import { readMountInfo } from '../mount/mountinfo.js';
import { errnoName } from '../syscall/errno.js';
import { cpuUsageV1, usageV1, type DirectoryOf } from './cgroup-usage-v1.js';
import { cpuUsageV2, usageV2 } from './cgroup-usage-v2.js';
import { cgroupVersion } from './cgroups.js';

/**
 * Reads the usage of cgroups from the kernel's files, synchronously, without a thread or a runtime's shim. `path` is
 * below the root of each hierarchy, such as `/kubepods/pod1/ID`. Undefined: there is no such cgroup.
 */
export interface CgroupReader {
  usage(path: string, options?: { readonly detail?: boolean }): CgroupUsage | undefined;
  /** CPU time in nanoseconds. */
  cpuUsage(path: string): bigint | undefined;
  /** The pids of all processes in the cgroup and in its descendants. */
  pids(path: string): number[] | undefined;
}

/** Makes a reader. It looks up once where the hierarchies are mounted. */
export async function openCgroupReader(): Promise<CgroupReader> {
  return cgroupVersion() === 2 ? unifiedReader() : legacyReader(await legacyHierarchies());
}

const ROOT = '/sys/fs/cgroup';

const unifiedReader = (): CgroupReader => ({
  usage: (path, { detail = false } = {}) => usageV2(join(ROOT, path), detail),
  cpuUsage: (path) => cpuUsageV2(join(ROOT, path)),
  pids: (path) => pidsBelow(join(ROOT, path)),
});

function legacyReader(hierarchies: ReadonlyMap<string, Hierarchy>): CgroupReader {
  const directoryOf =
    (path: string): DirectoryOf =>
    (controller) => {
      const hierarchy = hierarchies.get(controller);
      if (!hierarchy) return undefined;
      const { root, mountPoint } = hierarchy;
      // Inside a container the mount shows a part of the hierarchy, while paths start at the hierarchy's root.
      return join(mountPoint, root !== '/' && path.startsWith(root) ? path.slice(root.length) : path);
    };
  return {
    usage: (path, { detail = false } = {}) => usageV1(directoryOf(path), detail),
    cpuUsage: (path) => cpuUsageV1(directoryOf(path)),
    pids(path) {
      const directory = directoryOf(path)('pids') ?? directoryOf(path)('memory');
      return directory === undefined ? undefined : pidsBelow(directory);
    },
  };
}

interface Hierarchy {
  readonly mountPoint: string;
  readonly root: string;
}

async function legacyHierarchies(): Promise<Map<string, Hierarchy>> {
  const hierarchies = new Map<string, Hierarchy>();
  for (const { fstype, superOptions, mountPoint, root } of await readMountInfo()) {
    if (fstype !== 'cgroup') continue;
    for (const controller of superOptions) {
      if (!hierarchies.has(controller)) hierarchies.set(controller, { mountPoint, root });
    }
  }
  return hierarchies;
}

function pidsBelow(directory: string): number[] | undefined {
  const text = readKernelFile(join(directory, 'cgroup.procs'));
  if (text === undefined) return undefined;
  const own = text.split('\n').filter(Boolean).map(Number);
  const below = childrenOf(directory).flatMap((child) => pidsBelow(join(directory, child)) ?? []);
  return below.length > 0 ? [...own, ...below] : own;
}

/** Returns the child cgroups. The link count of a cgroup's directory is two plus its number of children. */
function childrenOf(directory: string): string[] {
  try {
    if (statSync(directory).nlink <= 2) return [];
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));
  } catch (thrown) {
    if (['ENOENT', 'ENODEV'].includes(errnoName(thrown) ?? '')) return [];
    throw thrown;
  }
}
