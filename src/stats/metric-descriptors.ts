import {
  MetricType,
  type ListMetricDescriptorsResponse,
  type MetricDescriptor,
} from '../../generated/runtime/v1/api.js';

/** The labels that identify the container or pod. Every metric has them first. */
const BASE = ['pod', 'namespace', 'container', 'id', 'image'] as const;
const INTERFACE = [...BASE, 'interface'] as const;
const DEVICE = [...BASE, 'device'] as const;

interface Known {
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
}

const counter = (help: string, labels: readonly string[] = BASE): Known => ({ type: MetricType.COUNTER, help, labels });
const gauge = (help: string, labels: readonly string[] = BASE): Known => ({ type: MetricType.GAUGE, help, labels });

/** Metrics under cAdvisor's names, which dashboards use. */
export const METRICS = {
  container_cpu_user_seconds_total: counter('CPU time in user mode, in seconds'),
  container_cpu_system_seconds_total: counter('CPU time in the kernel, in seconds'),
  container_cpu_usage_seconds_total: counter('CPU time, in seconds'),
  container_cpu_cfs_periods_total: counter('periods in which the CPU limit was enforced'),
  container_cpu_cfs_throttled_periods_total: counter('periods in which the CPU limit was reached'),
  container_cpu_cfs_throttled_seconds_total: counter('time without CPU because of the limit, in seconds'),
  container_memory_cache: gauge('page cache, in bytes'),
  container_memory_rss: gauge('anonymous memory, in bytes'),
  container_memory_kernel_usage: gauge('memory of the kernel for the container, in bytes'),
  container_memory_mapped_file: gauge('files mapped into memory, in bytes'),
  container_memory_swap: gauge('swap in use, in bytes'),
  container_memory_failcnt: counter('how often the memory limit was hit'),
  container_memory_usage_bytes: gauge('memory in use, page cache included, in bytes'),
  container_memory_max_usage_bytes: gauge('the most memory that was in use, in bytes'),
  container_memory_working_set_bytes: gauge('memory in use without inactive file pages, in bytes'),
  container_memory_total_active_file_bytes: gauge('active file pages, in bytes'),
  container_memory_total_inactive_file_bytes: gauge('inactive file pages, in bytes'),
  container_memory_failures_total: counter('page faults', [...BASE, 'failure_type', 'scope']),
  container_oom_events_total: counter('processes killed for want of memory'),
  container_network_receive_bytes_total: counter('bytes received', INTERFACE),
  container_network_receive_packets_total: counter('packets received', INTERFACE),
  container_network_receive_packets_dropped_total: counter('packets dropped on receipt', INTERFACE),
  container_network_receive_errors_total: counter('errors on receipt', INTERFACE),
  container_network_transmit_bytes_total: counter('bytes sent', INTERFACE),
  container_network_transmit_packets_total: counter('packets sent', INTERFACE),
  container_network_transmit_packets_dropped_total: counter('packets dropped on sending', INTERFACE),
  container_network_transmit_errors_total: counter('errors on sending', INTERFACE),
  container_fs_inodes_free: gauge('inodes free on the filesystem of the writable layer', DEVICE),
  container_fs_inodes_total: gauge('inodes of the filesystem of the writable layer', DEVICE),
  container_fs_limit_bytes: gauge('size of the filesystem of the writable layer, in bytes', DEVICE),
  container_fs_usage_bytes: gauge('what the writable layer takes, in bytes', DEVICE),
  container_fs_reads_bytes_total: counter('bytes read from the device', DEVICE),
  container_fs_reads_total: counter('reads from the device', DEVICE),
  container_fs_writes_bytes_total: counter('bytes written to the device', DEVICE),
  container_fs_writes_total: counter('writes to the device', DEVICE),
  container_blkio_device_usage_total: counter('bytes to and from the device', [
    ...DEVICE,
    'major',
    'minor',
    'operation',
  ]),
  container_processes: gauge('processes'),
  container_file_descriptors: gauge('open files of all processes'),
  container_sockets: gauge('open sockets of all processes'),
  container_threads_max: gauge('the limit of threads; 0 is none'),
  container_threads: gauge('threads'),
  container_ulimits_soft: gauge('soft limits of the first process', [...BASE, 'ulimit']),
  container_last_seen: gauge('when these values were read, in seconds since the epoch'),
  container_start_time_seconds: gauge('when the container was started, in seconds since the epoch'),
  container_spec_cpu_period: gauge('the period of the CPU limit, in microseconds'),
  container_spec_cpu_shares: gauge('the share of CPU time'),
  container_spec_memory_limit_bytes: gauge('the memory limit, in bytes; 0 is none'),
  container_spec_memory_reservation_limit_bytes: gauge('the memory reservation, in bytes; 0 is none'),
  container_spec_memory_swap_limit_bytes: gauge('the limit of memory and swap, in bytes; 0 is none'),
} satisfies Record<string, Known>;

export type MetricName = keyof typeof METRICS;

/** CRI ListMetricDescriptors. */
export const listMetricDescriptors = (): ListMetricDescriptorsResponse => ({
  descriptors: Object.entries(METRICS).map(([name, { help, labels }]): MetricDescriptor => ({
    name,
    help,
    label_keys: [...labels],
  })),
});
