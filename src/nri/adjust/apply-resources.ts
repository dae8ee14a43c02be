import type { LinuxCPU, LinuxMemory, LinuxResources } from '../../../generated/nri/v1alpha1/api.js';
import type { OciCpu, OciMemory, OciResources } from '../../spec/oci.js';
import type { ResourceHost, ResourceOptions } from '../../spec/resources.js';

/**
 * Returns `current` with the values that plugins set, for an adjustment and for an update. Device rules, block I/O and
 * RDT classes are no part of it. As upstream does, a memory limit sets the swap limit too, unless a plugin sets that,
 * and a memory limit of 0 changes nothing.
 */
export function applyResources(
  current: OciResources,
  { memory, cpu, hugepage_limits, unified, pids }: LinuxResources,
  { host, options }: { readonly host: ResourceHost; readonly options: ResourceOptions },
): OciResources {
  const hasHugetlb = host.hugetlbController && !options.disableHugetlbController;
  const limits = new Map((current.hugepageLimits ?? []).map((limit) => [limit.pageSize, limit]));
  if (hasHugetlb)
    for (const { page_size, limit } of hugepage_limits) limits.set(page_size, { pageSize: page_size, limit });
  const cpuSet = cpu && cpuOf(cpu);
  const memorySet = memory && memoryOf(memory, host);
  return {
    ...current,
    ...(cpuSet && Object.keys(cpuSet).length > 0 && { cpu: { ...current.cpu, ...cpuSet } }),
    ...(memorySet && Object.keys(memorySet).length > 0 && { memory: { ...current.memory, ...memorySet } }),
    ...(limits.size > 0 && { hugepageLimits: [...limits.values()] }),
    ...(Object.keys(unified).length > 0 && { unified: { ...current.unified, ...unified } }),
    ...(pids && { pids: { limit: pids.limit } }),
  };
}

const cpuOf = (cpu: LinuxCPU): OciCpu => ({
  ...(cpu.shares && { shares: cpu.shares.value }),
  ...(cpu.quota && { quota: cpu.quota.value }),
  ...(cpu.period && { period: cpu.period.value }),
  ...(cpu.realtime_runtime && { realtimeRuntime: cpu.realtime_runtime.value }),
  ...(cpu.realtime_period && { realtimePeriod: cpu.realtime_period.value }),
  ...(cpu.cpus !== '' && { cpus: cpu.cpus }),
  ...(cpu.mems !== '' && { mems: cpu.mems }),
});

function memoryOf(memory: LinuxMemory, host: ResourceHost): OciMemory {
  const limit = memory.limit?.value || undefined;
  const swap = memory.swap?.value ?? limit;
  return {
    ...(limit !== undefined && { limit }),
    ...(swap !== undefined && host.swapController && { swap }),
    ...(memory.reservation && { reservation: memory.reservation.value }),
    ...(memory.kernel_tcp && { kernelTCP: memory.kernel_tcp.value }),
    ...(memory.swappiness && { swappiness: memory.swappiness.value }),
    ...(memory.disable_oom_killer && { disableOOMKiller: memory.disable_oom_killer.value }),
  };
}
