import type { LinuxContainerResources } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { OciResources } from './oci.js';
import type { HostFacts, SpecOptions } from './types.js';

export type ResourceHost = Pick<HostFacts, 'cgroupVersion' | 'swapController' | 'hugetlbController'>;
export type ResourceOptions = Pick<SpecOptions, 'disableHugetlbController' | 'tolerateMissingHugetlbController'>;

/**
 * Returns `current` with the values of a request (CRI LinuxContainerResources; 0 and "" mean "unchanged"). Create and
 * update both use it. A memory limit without a swap limit forbids swap (swap = limit), if the host can limit swap.
 * INVALID_ARGUMENT for `unified` on cgroup v1; FAILED_PRECONDITION for huge page limits on a host without the hugetlb
 * controller, unless the configuration tolerates that.
 */
export function withResources(
  current: OciResources,
  requested: LinuxContainerResources | undefined,
  host: ResourceHost,
  options: ResourceOptions,
): OciResources {
  if (requested === undefined) return current;
  const cpu = { ...current.cpu, ...cpuOf(requested) };
  const memory = { ...current.memory, ...memoryOf(requested, host) };
  const hugepageLimits = [...(current.hugepageLimits ?? []), ...hugepagesOf(requested, host, options)];
  const unified = { ...current.unified, ...requested.unified };
  if (Object.keys(requested.unified).length > 0 && host.cgroupVersion === 1) {
    throw invalidArgument('config.linux.resources.unified', 'this host has cgroup v1, which has no unified resources');
  }
  return {
    ...current,
    cpu,
    memory,
    ...(hugepageLimits.length > 0 && { hugepageLimits: lastOfEach(hugepageLimits) }),
    ...(Object.keys(unified).length > 0 && { unified }),
  };
}

/** Values that runtimes read as "no limit", and the kernel's default shares and period (OCI spec, config-linux.md). */
const UNLIMITED = {
  cpu: { shares: 1024n, quota: -1n, period: 100_000n },
  memory: { limit: -1n, swap: -1n },
};
const UNLIMITED_UNIFIED: Readonly<Record<string, string>> = {
  'cpu.max': 'max',
  'cpu.weight': '100',
  'memory.high': 'max',
  'memory.low': '0',
  'memory.max': 'max',
  'memory.min': '0',
  'memory.swap.max': 'max',
  'pids.max': 'max',
};

/**
 * Returns the update that takes a cgroup from `after` back to `before`. A runtime does not change fields that an update
 * leaves out, so fields that only `after` sets become unlimited. CPU sets and huge pages have no such value and stay.
 */
export function restoringResources(before: OciResources, after: OciResources): OciResources {
  const unified = { ...setIn(after.unified, UNLIMITED_UNIFIED), ...before.unified };
  return {
    ...before,
    cpu: { ...setIn(after.cpu, UNLIMITED.cpu), ...before.cpu },
    memory: { ...setIn(after.memory, UNLIMITED.memory), ...before.memory },
    ...(Object.keys(unified).length > 0 && { unified }),
  };
}

/** Returns the entries of `values` whose key `set` has. */
const setIn = <V>(set: object | undefined, values: Readonly<Record<string, V>>): Record<string, V> =>
  Object.fromEntries(Object.entries(values).filter(([key]) => set !== undefined && key in set));

/** Converts a spec's resources to the CRI form (ContainerStatus.resources). `oomScoreAdj` is in the spec's process. */
export function shownResources(resources: OciResources, oomScoreAdj: number | undefined): LinuxContainerResources {
  const { cpu, memory, hugepageLimits, unified } = resources;
  return {
    cpu_period: cpu?.period ?? 0n,
    cpu_quota: cpu?.quota ?? 0n,
    cpu_shares: cpu?.shares ?? 0n,
    cpuset_cpus: cpu?.cpus ?? '',
    cpuset_mems: cpu?.mems ?? '',
    memory_limit_in_bytes: memory?.limit ?? 0n,
    memory_swap_limit_in_bytes: memory?.swap ?? 0n,
    hugepage_limits: (hugepageLimits ?? []).map(({ pageSize, limit }) => ({ page_size: pageSize, limit })),
    unified: { ...unified },
    oom_score_adj: BigInt(oomScoreAdj ?? 0),
  };
}

/** CPU shares of the pause process, the kernel's minimum. */
export const PAUSE_CPU_SHARES = 2n;

function cpuOf(requested: LinuxContainerResources): NonNullable<OciResources['cpu']> {
  return {
    ...(requested.cpu_shares !== 0n && { shares: requested.cpu_shares }),
    ...(requested.cpu_quota !== 0n && { quota: requested.cpu_quota }),
    ...(requested.cpu_period !== 0n && { period: requested.cpu_period }),
    ...(requested.cpuset_cpus !== '' && { cpus: requested.cpuset_cpus }),
    ...(requested.cpuset_mems !== '' && { mems: requested.cpuset_mems }),
  };
}

function memoryOf(requested: LinuxContainerResources, host: ResourceHost): NonNullable<OciResources['memory']> {
  const limit = requested.memory_limit_in_bytes;
  const swap = requested.memory_swap_limit_in_bytes || limit;
  return {
    ...(limit !== 0n && { limit }),
    ...(swap !== 0n && host.swapController && { swap }),
  };
}

function hugepagesOf(
  requested: LinuxContainerResources,
  host: ResourceHost,
  options: ResourceOptions,
): NonNullable<OciResources['hugepageLimits']> {
  if (options.disableHugetlbController || requested.hugepage_limits.length === 0) return [];
  if (!host.hugetlbController) {
    if (options.tolerateMissingHugetlbController) return [];
    throw new CriError(
      'FAILED_PRECONDITION',
      'config.linux.resources.hugepage_limits: this host has no hugetlb cgroup controller',
    );
  }
  return requested.hugepage_limits.map(({ page_size, limit }) => ({ pageSize: page_size, limit }));
}

/** A later limit of one page size replaces an earlier one. */
const lastOfEach = (limits: NonNullable<OciResources['hugepageLimits']>): typeof limits => [
  ...new Map(limits.map((limit) => [limit.pageSize, limit])).values(),
];
