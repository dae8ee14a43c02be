import { join } from 'node:path';
import type { CgroupUsage, DeviceAccount, MemoryAccount, Pressure, Stall } from '../../base/cgroup-usage.js';
import { fieldsOf, numberOf, readKernelFile } from '../files/kernel-files.js';

/** Returns undefined when the cgroup is gone. `detail`: include the values that only ListPodSandboxMetrics reports. */
export function usageV2(directory: string, detail: boolean): CgroupUsage | undefined {
  const read = (name: string): string | undefined => readKernelFile(join(directory, name));
  const cpuStat = read('cpu.stat');
  if (cpuStat === undefined) return undefined;
  const cpu = fieldsOf(cpuStat);
  const periods = cpu('nr_periods');
  const swap = numberOf(read('memory.swap.current'));
  const pids = numberOf(read('pids.current'));
  return {
    cpu: {
      usageNs: micros(cpu('usage_usec')) ?? 0n,
      userNs: micros(cpu('user_usec')),
      systemNs: micros(cpu('system_usec')),
      throttling:
        periods === undefined
          ? undefined
          : {
              periods,
              throttledPeriods: cpu('nr_throttled') ?? 0n,
              throttledNs: micros(cpu('throttled_usec')) ?? 0n,
            },
      pressure: parsePressure(read('cpu.pressure')),
    },
    memory: memoryOf(read, detail),
    swap: swap === undefined ? undefined : { usage: swap, limit: swapLimit(read) },
    pids: pids === undefined ? undefined : { current: pids, limit: numberOf(read('pids.max')) },
    devices: detail ? parseIoStat(read('io.stat') ?? '') : [],
    ioPressure: parsePressure(read('io.pressure')),
  };
}

export const cpuUsageV2 = (directory: string): bigint | undefined =>
  micros(fieldsOf(readKernelFile(join(directory, 'cpu.stat')) ?? '')('usage_usec'));

/**
 * crun sets a systemd scope's swap limit to the sum of memory and swap; the real limit is in the `container` cgroup
 * below.
 */
function swapLimit(read: (name: string) => string | undefined): bigint | undefined {
  const [scope, below] = [numberOf(read('memory.swap.max')), numberOf(read('container/memory.swap.max'))];
  return below === undefined || (scope !== undefined && scope < below) ? scope : below;
}

function memoryOf(read: (name: string) => string | undefined, detail: boolean): MemoryAccount | undefined {
  const usage = numberOf(read('memory.current'));
  if (usage === undefined) return undefined;
  const field = fieldsOf(read('memory.stat') ?? '');
  const event = fieldsOf((detail ? read('memory.events') : undefined) ?? '');
  return {
    usage,
    limit: numberOf(read('memory.max')),
    rss: field('anon') ?? 0n,
    cache: field('file') ?? 0n,
    mappedFile: field('file_mapped') ?? 0n,
    activeFile: field('active_file') ?? 0n,
    inactiveFile: field('inactive_file') ?? 0n,
    pageFaults: field('pgfault') ?? 0n,
    majorPageFaults: field('pgmajfault') ?? 0n,
    // Kernels before 5.18 report only its parts.
    kernel: field('kernel') ?? (field('kernel_stack') ?? 0n) + (field('slab') ?? 0n) + (field('sock') ?? 0n),
    maxUsage: detail ? numberOf(read('memory.peak')) : undefined,
    failures: event('max'),
    oomKills: event('oom_kill'),
    pressure: parsePressure(read('memory.pressure')),
  };
}

/** Parses lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`. */
function parseIoStat(text: string): DeviceAccount[] {
  return text.split('\n').flatMap((line) => {
    const [, major, minor] = /^(\d+):(\d+) /.exec(line) ?? [];
    if (major === undefined || minor === undefined) return [];
    const value = (key: string): bigint => BigInt(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? 0);
    return [
      {
        major: BigInt(major),
        minor: BigInt(minor),
        readBytes: value('rbytes'),
        writeBytes: value('wbytes'),
        reads: value('rios'),
        writes: value('wios'),
      },
    ];
  });
}

const micros = (value: bigint | undefined): bigint | undefined => (value === undefined ? undefined : value * 1000n);

/** Parses lines of `some avg10=0.00 avg60=0.00 avg300=0.00 total=123` (psi.rst), with the total in microseconds. */
function parsePressure(text: string | undefined): Pressure | undefined {
  if (text === undefined || text === '') return undefined;
  return { some: stallOf(text, 'some'), full: stallOf(text, 'full') };
}

function stallOf(text: string, kind: string): Stall | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${kind} `));
  const values = /avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)/.exec(line ?? '');
  if (!values) return undefined;
  const [avg10, avg60, avg300] = [values[1], values[2], values[3]].map(Number) as [number, number, number];
  return { avg10, avg60, avg300, totalNs: BigInt(values[4]!) * 1000n };
}
