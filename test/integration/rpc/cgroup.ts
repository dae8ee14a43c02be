import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The kernel's limits, in one form for both cgroup versions. */
export interface Limits {
  readonly memoryBytes: number;
  readonly quotaUs: number;
  readonly periodUs: number;
  readonly cpus: string;
}

const ROOT = '/sys/fs/cgroup';
export const isV2 = existsSync(join(ROOT, 'cgroup.controllers'));

/** Returns the limits of the cgroup of a process on the host. */
export async function limitsOf(pid: number): Promise<Limits> {
  if (isV2) {
    const [quota, period] = (await read(pid, '', 'cpu.max')).split(' ');
    return {
      memoryBytes: Number(await read(pid, '', 'memory.max')),
      quotaUs: Number(quota),
      periodUs: Number(period),
      cpus: await read(pid, '', 'cpuset.cpus'),
    };
  }
  return {
    memoryBytes: Number(await read(pid, 'memory', 'memory.limit_in_bytes')),
    quotaUs: Number(await read(pid, 'cpu', 'cpu.cfs_quota_us')),
    periodUs: Number(await read(pid, 'cpu', 'cpu.cfs_period_us')),
    cpus: await read(pid, 'cpuset', 'cpuset.cpus'),
  };
}

/**
 * Reads a file of the process's cgroup. proc_pid_cgroup(5): `ID:CONTROLLERS:PATH`; version 2 has no controllers there.
 */
async function read(pid: number, controller: string, file: string): Promise<string> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').map((line) => line.split(':'));
  const [, controllers = '', ...path] = lines.find(([, names = '']) => names.split(',').includes(controller)) ?? [];
  return (await readFile(join(ROOT, controllers, path.join(':'), file), 'utf8')).trim();
}
