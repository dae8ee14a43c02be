import { Metrics as MetricsV1, type BlkIOEntry } from '../../generated/containerd/cgroups/v1/metrics.js';
import { Metrics as MetricsV2, type PSIData, type PSIStats } from '../../generated/containerd/cgroups/v2/metrics.js';
import type { CgroupUsage, DeviceAccount, Pressure, Stall } from '../base/cgroup-usage.js';
import { CriError } from '../base/errors.js';
import type { Any } from './containerd.js';

/** Decodes the data of `tasks.metrics`, from cgroup v1 or v2. INTERNAL for any other type. */
export function decodeCgroupMetrics(any: Any): CgroupUsage {
  switch (any.type_url.slice(any.type_url.lastIndexOf('/') + 1)) {
    case 'io.containerd.cgroups.v1.Metrics':
      return fromV1(MetricsV1.decode(any.value));
    case 'io.containerd.cgroups.v2.Metrics':
      return fromV2(MetricsV2.decode(any.value));
    default:
      throw new CriError('INTERNAL', `unknown type of metrics "${any.type_url}"`);
  }
}

/** Both versions write "no limit" as a number near 2^63 or 2^64. */
const UNLIMITED = 1n << 62n;
const limitOf = (limit: bigint | undefined): bigint | undefined =>
  limit === undefined || limit === 0n || limit >= UNLIMITED ? undefined : limit;

function fromV1({ cpu, memory, pids, blkio, memory_oom_control }: MetricsV1): CgroupUsage {
  const { usage, throttling } = cpu ?? {};
  const limit = limitOf(memory?.usage?.limit);
  const both = limit === undefined ? undefined : limitOf(memory?.swap?.limit);
  return {
    cpu: usage && {
      usageNs: usage.total,
      userNs: usage.user,
      systemNs: usage.kernel,
      throttling: throttling && {
        periods: throttling.periods,
        throttledPeriods: throttling.throttled_periods,
        throttledNs: throttling.throttled_time,
      },
      pressure: undefined,
    },
    memory: memory?.usage && {
      usage: memory.usage.usage,
      limit,
      rss: memory.total_rss,
      cache: memory.total_cache,
      mappedFile: memory.total_mapped_file,
      activeFile: memory.total_active_file,
      inactiveFile: memory.total_inactive_file,
      pageFaults: memory.total_pg_fault,
      majorPageFaults: memory.total_pg_maj_fault,
      kernel: memory.kernel?.usage,
      maxUsage: memory.usage.max,
      failures: memory.usage.failcnt,
      oomKills: memory_oom_control?.oom_kill,
      pressure: undefined,
    },
    // `swap` counts memory and swap together.
    swap: memory?.swap && {
      usage: atLeastZero(memory.swap.usage - (memory.usage?.usage ?? 0n)),
      limit: both === undefined || limit === undefined ? undefined : atLeastZero(both - limit),
    },
    pids: pids && { current: pids.current, limit: limitOf(pids.limit) },
    devices: devicesV1(blkio?.io_service_bytes_recursive ?? [], blkio?.io_serviced_recursive ?? []),
    ioPressure: undefined,
  };
}

function fromV2({ cpu, memory, pids, io, memory_events }: MetricsV2): CgroupUsage {
  return {
    cpu: cpu && {
      usageNs: cpu.usage_usec * 1000n,
      userNs: cpu.user_usec * 1000n,
      systemNs: cpu.system_usec * 1000n,
      throttling: {
        periods: cpu.nr_periods,
        throttledPeriods: cpu.nr_throttled,
        throttledNs: cpu.throttled_usec * 1000n,
      },
      pressure: pressureOf(cpu.psi),
    },
    memory: memory && {
      usage: memory.usage,
      limit: limitOf(memory.usage_limit),
      rss: memory.anon,
      cache: memory.file,
      mappedFile: memory.file_mapped,
      activeFile: memory.active_file,
      inactiveFile: memory.inactive_file,
      pageFaults: memory.pgfault,
      majorPageFaults: memory.pgmajfault,
      kernel: memory.kernel_stack + memory.slab + memory.sock,
      maxUsage: memory.max_usage,
      failures: memory_events?.max,
      oomKills: memory_events?.oom_kill,
      pressure: pressureOf(memory.psi),
    },
    swap: memory && { usage: memory.swap_usage, limit: limitOf(memory.swap_limit) },
    pids: pids && { current: pids.current, limit: limitOf(pids.limit) },
    devices: (io?.usage ?? []).map(({ major, minor, rbytes, wbytes, rios, wios }) => ({
      major,
      minor,
      readBytes: rbytes,
      writeBytes: wbytes,
      reads: rios,
      writes: wios,
    })),
    ioPressure: pressureOf(io?.psi),
  };
}

function devicesV1(bytes: readonly BlkIOEntry[], counts: readonly BlkIOEntry[]): DeviceAccount[] {
  const sum = (entries: readonly BlkIOEntry[], of: BlkIOEntry, op: string): bigint =>
    entries
      .filter((entry) => entry.major === of.major && entry.minor === of.minor && entry.op.toLowerCase() === op)
      .reduce((total, { value }) => total + value, 0n);
  const devices = new Map([...bytes, ...counts].map((entry) => [`${entry.major}:${entry.minor}`, entry]));
  return [...devices.values()].map((device) => ({
    major: device.major,
    minor: device.minor,
    readBytes: sum(bytes, device, 'read'),
    writeBytes: sum(bytes, device, 'write'),
    reads: sum(counts, device, 'read'),
    writes: sum(counts, device, 'write'),
  }));
}

const pressureOf = (psi: PSIStats | undefined): Pressure | undefined =>
  psi && { some: stallOf(psi.some), full: stallOf(psi.full) };

const stallOf = (data: PSIData | undefined): Stall | undefined =>
  data && { avg10: data.avg10, avg60: data.avg60, avg300: data.avg300, totalNs: data.total * 1000n };

const atLeastZero = (value: bigint): bigint => (value > 0n ? value : 0n);
