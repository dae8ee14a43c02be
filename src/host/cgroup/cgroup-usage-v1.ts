import { join } from 'node:path';
import type { CgroupUsage, CpuAccount, DeviceAccount, MemoryAccount } from '../../base/cgroup-usage.js';
import { fieldsOf, numberOf, readKernelFile } from '../files/kernel-files.js';

/** Returns the directory of a cgroup in a controller's hierarchy; undefined when that controller is not mounted. */
export type DirectoryOf = (controller: string) => string | undefined;

/** cgroup v1's "no limit" is the largest multiple of a page that fits, about 2^63. */
const UNLIMITED = 1n << 62n;

/** Returns undefined when the cgroup is gone. `detail`: include the values that only ListPodSandboxMetrics reports. */
export function usageV1(directory: DirectoryOf, detail: boolean): CgroupUsage | undefined {
  const cpu = cpuOf(directory, detail);
  const memory = memoryOf(directory, detail);
  if (!cpu && !memory) return undefined;
  const pids = read(directory, 'pids', 'pids.current');
  return {
    cpu,
    memory: memory?.account,
    swap: memory?.swap,
    pids:
      numberOf(pids) === undefined
        ? undefined
        : { current: numberOf(pids)!, limit: limitOf(directory, 'pids', 'pids.max') },
    devices: detail ? devicesOf(directory) : [],
    ioPressure: undefined,
  };
}

export const cpuUsageV1 = (directory: DirectoryOf): bigint | undefined =>
  numberOf(read(directory, 'cpuacct', 'cpuacct.usage'));

function cpuOf(directory: DirectoryOf, detail: boolean): CpuAccount | undefined {
  const usageNs = cpuUsageV1(directory);
  if (usageNs === undefined) return undefined;
  if (!detail) return { usageNs, userNs: undefined, systemNs: undefined, throttling: undefined, pressure: undefined };
  const field = fieldsOf(read(directory, 'cpu', 'cpu.stat') ?? '');
  const periods = field('nr_periods');
  return {
    usageNs,
    userNs: numberOf(read(directory, 'cpuacct', 'cpuacct.usage_user')),
    systemNs: numberOf(read(directory, 'cpuacct', 'cpuacct.usage_sys')),
    throttling:
      periods === undefined
        ? undefined
        : { periods, throttledPeriods: field('nr_throttled') ?? 0n, throttledNs: field('throttled_time') ?? 0n },
    pressure: undefined,
  };
}

function memoryOf(
  directory: DirectoryOf,
  detail: boolean,
): { account: MemoryAccount; swap: CgroupUsage['swap'] } | undefined {
  const usage = numberOf(read(directory, 'memory', 'memory.usage_in_bytes'));
  if (usage === undefined) return undefined;
  const field = fieldsOf(read(directory, 'memory', 'memory.stat') ?? '');
  const limit = limitOf(directory, 'memory', 'memory.limit_in_bytes');
  const account: MemoryAccount = {
    usage,
    limit,
    rss: field('total_rss') ?? 0n,
    cache: field('total_cache') ?? 0n,
    mappedFile: field('total_mapped_file') ?? 0n,
    activeFile: field('total_active_file') ?? 0n,
    inactiveFile: field('total_inactive_file') ?? 0n,
    pageFaults: field('total_pgfault') ?? 0n,
    majorPageFaults: field('total_pgmajfault') ?? 0n,
    kernel: detail ? numberOf(read(directory, 'memory', 'memory.kmem.usage_in_bytes')) : undefined,
    maxUsage: detail ? numberOf(read(directory, 'memory', 'memory.max_usage_in_bytes')) : undefined,
    failures: detail ? numberOf(read(directory, 'memory', 'memory.failcnt')) : undefined,
    oomKills: detail ? fieldsOf(read(directory, 'memory', 'memory.oom_control') ?? '')('oom_kill') : undefined,
    pressure: undefined,
  };
  const swapped = field('total_swap');
  if (swapped === undefined) return { account, swap: undefined };
  // memsw counts memory and swap together.
  const both = limit === undefined ? undefined : limitOf(directory, 'memory', 'memory.memsw.limit_in_bytes');
  const swapLimit = both === undefined || limit === undefined ? undefined : both > limit ? both - limit : 0n;
  return { account, swap: { usage: swapped, limit: swapLimit } };
}

/** Parses lines of `8:0 Read 4096`, with a `Total` at the end. */
function devicesOf(directory: DirectoryOf): DeviceAccount[] {
  const bytes = perDevice(readEither(directory, 'blkio.throttle.io_service_bytes'));
  const counts = perDevice(readEither(directory, 'blkio.throttle.io_serviced'));
  return [...new Set([...bytes.keys(), ...counts.keys()])].map((device) => {
    const [major = '0', minor = '0'] = device.split(':');
    return {
      major: BigInt(major),
      minor: BigInt(minor),
      readBytes: bytes.get(device)?.get('Read') ?? 0n,
      writeBytes: bytes.get(device)?.get('Write') ?? 0n,
      reads: counts.get(device)?.get('Read') ?? 0n,
      writes: counts.get(device)?.get('Write') ?? 0n,
    };
  });
}

function perDevice(text: string): Map<string, Map<string, bigint>> {
  const devices = new Map<string, Map<string, bigint>>();
  for (const [, device, operation, value] of text.matchAll(/^(\d+:\d+) (\w+) (\d+)$/gm)) {
    const operations = devices.get(device!) ?? new Map<string, bigint>();
    devices.set(device!, operations.set(operation!, BigInt(value!)));
  }
  return devices;
}

const readEither = (directory: DirectoryOf, name: string): string =>
  read(directory, 'blkio', `${name}_recursive`) ?? read(directory, 'blkio', name) ?? '';

function limitOf(directory: DirectoryOf, controller: string, name: string): bigint | undefined {
  const limit = numberOf(read(directory, controller, name));
  return limit === undefined || limit >= UNLIMITED ? undefined : limit;
}

function read(directory: DirectoryOf, controller: string, name: string): string | undefined {
  const path = directory(controller);
  return path === undefined ? undefined : readKernelFile(join(path, name));
}
