import type { Metric } from '../../generated/runtime/v1/api.js';
import { workingSetBytes, type CgroupUsage, type DeviceAccount, type MemoryAccount } from '../base/cgroup-usage.js';
import type { Container } from '../state/records.js';
import { METRICS, type MetricName } from './metric-descriptors.js';
import type { LayerUsage } from './writable-layers.js';

/** The input for one container's metrics. An undefined value yields no metric. */
export interface MetricInput {
  /** Values of the labels that every metric has. */
  readonly labels: readonly string[];
  readonly atNs: bigint;
  readonly container: Container;
  readonly usage: CgroupUsage;
  readonly processes:
    | {
        readonly count: number;
        readonly files: number;
        readonly sockets: number;
        readonly filesLimit: bigint | undefined;
      }
    | undefined;
  readonly layer: LayerUsage | undefined;
  readonly filesystem: {
    readonly device: string;
    readonly bytes: bigint;
    readonly inodes: bigint;
    readonly inodesFree: bigint;
  };
}

/** A time, which becomes a metric in seconds. */
interface Seconds {
  readonly ns: bigint;
}

type Add = (name: MetricName, value: bigint | number | Seconds | undefined, ...more: string[]) => void;

/** Returns one container's metrics under cAdvisor's names. */
export function containerMetrics(input: MetricInput): Metric[] {
  const metrics: Metric[] = [];
  const add = adder(metrics, input.labels, input.atNs);
  const { container, usage, atNs } = input;
  add('container_last_seen', seconds(atNs));
  if (container.state.phase !== 'created') add('container_start_time_seconds', seconds(container.state.startedAtNs));
  addCpu(add, usage.cpu);
  if (usage.memory) addMemory(add, usage.memory);
  add('container_memory_swap', usage.swap?.usage);
  for (const device of usage.devices) addDevice(add, device);
  addFilesystem(add, input);
  addProcesses(add, input);
  addSpec(add, container);
  return metrics;
}

/** Returns a function that appends metrics with the labels of one object and skips metrics without a value. */
export function adder(metrics: Metric[], labels: readonly string[], atNs: bigint): Add {
  return (name, value, ...more) => {
    if (value === undefined) return;
    metrics.push({
      name,
      timestamp: atNs,
      metric_type: METRICS[name].type,
      label_values: [...labels, ...more],
      ...(typeof value === 'object' ? secondsOf(value) : { value: { value: BigInt(value) }, double_value: undefined }),
    });
  };
}

/**
 * Since CRI v0.38 (beta), `double_value` has the fraction. A kubelet before that reads only `value`, which is rounded
 * down: a counter must not be ahead of the time.
 */
const secondsOf = ({ ns }: Seconds): Pick<Metric, 'value' | 'double_value'> => ({
  value: { value: ns / 1_000_000_000n },
  double_value: { value: Number(ns) / 1e9 },
});

function addCpu(add: Add, cpu: CgroupUsage['cpu']): void {
  if (!cpu) return;
  add('container_cpu_usage_seconds_total', seconds(cpu.usageNs));
  if (cpu.userNs !== undefined) add('container_cpu_user_seconds_total', seconds(cpu.userNs));
  if (cpu.systemNs !== undefined) add('container_cpu_system_seconds_total', seconds(cpu.systemNs));
  if (!cpu.throttling) return;
  add('container_cpu_cfs_periods_total', cpu.throttling.periods);
  add('container_cpu_cfs_throttled_periods_total', cpu.throttling.throttledPeriods);
  add('container_cpu_cfs_throttled_seconds_total', seconds(cpu.throttling.throttledNs));
}

function addMemory(add: Add, memory: MemoryAccount): void {
  add('container_memory_cache', memory.cache);
  add('container_memory_rss', memory.rss);
  add('container_memory_kernel_usage', memory.kernel);
  add('container_memory_mapped_file', memory.mappedFile);
  add('container_memory_failcnt', memory.failures);
  add('container_memory_usage_bytes', memory.usage);
  add('container_memory_max_usage_bytes', memory.maxUsage);
  add('container_memory_working_set_bytes', workingSetBytes(memory));
  add('container_memory_total_active_file_bytes', memory.activeFile);
  add('container_memory_total_inactive_file_bytes', memory.inactiveFile);
  add('container_memory_failures_total', memory.pageFaults, 'pgfault', 'container');
  add('container_memory_failures_total', memory.majorPageFaults, 'pgmajfault', 'container');
  add('container_oom_events_total', memory.oomKills);
}

function addDevice(add: Add, { major, minor, readBytes, writeBytes, reads, writes }: DeviceAccount): void {
  const device = `${major}:${minor}`;
  add('container_fs_reads_bytes_total', readBytes, device);
  add('container_fs_reads_total', reads, device);
  add('container_fs_writes_bytes_total', writeBytes, device);
  add('container_fs_writes_total', writes, device);
  add('container_blkio_device_usage_total', readBytes, device, String(major), String(minor), 'Read');
  add('container_blkio_device_usage_total', writeBytes, device, String(major), String(minor), 'Write');
}

function addFilesystem(add: Add, { layer, filesystem }: MetricInput): void {
  const { device, bytes, inodes, inodesFree } = filesystem;
  add('container_fs_usage_bytes', layer?.bytes, device);
  add('container_fs_limit_bytes', bytes, device);
  add('container_fs_inodes_total', inodes, device);
  add('container_fs_inodes_free', inodesFree, device);
}

function addProcesses(add: Add, { usage, processes }: MetricInput): void {
  add('container_threads', usage.pids?.current);
  if (usage.pids) add('container_threads_max', usage.pids.limit ?? 0n);
  if (!processes) return;
  add('container_processes', processes.count);
  add('container_file_descriptors', processes.files);
  add('container_sockets', processes.sockets);
  add('container_ulimits_soft', processes.filesLimit, 'max_open_files');
}

function addSpec(add: Add, { resources }: Container): void {
  const linux = resources?.linux;
  if (!linux) return;
  add('container_spec_cpu_period', linux.cpu_period);
  add('container_spec_cpu_shares', linux.cpu_shares);
  add('container_spec_memory_limit_bytes', noneIsZero(linux.memory_limit_in_bytes));
  add('container_spec_memory_swap_limit_bytes', noneIsZero(linux.memory_swap_limit_in_bytes));
  // CRI has no memory reservation.
  add('container_spec_memory_reservation_limit_bytes', 0n);
}

const noneIsZero = (limit: bigint): bigint => (limit > 0n ? limit : 0n);

const seconds = (ns: bigint): Seconds => ({ ns });
