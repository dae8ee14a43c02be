import type { CgroupUsage, CpuAccount, MemoryAccount } from '../base/cgroup-usage.js';

/** Returns the sum of several cgroups' usage. Limits and pressure cannot be added, so they are left out. */
export const sumOfUsages = (parts: readonly CgroupUsage[]): CgroupUsage => ({
  cpu: sumOfCpu(parts.flatMap(({ cpu }) => cpu ?? [])),
  memory: sumOfMemory(parts.flatMap(({ memory }) => memory ?? [])),
  swap: undefined,
  pids: undefined,
  devices: [],
  ioPressure: undefined,
});

function sumOfCpu(parts: readonly CpuAccount[]): CpuAccount | undefined {
  if (parts.length === 0) return undefined;
  return {
    usageNs: sum(parts.map(({ usageNs }) => usageNs)),
    userNs: undefined,
    systemNs: undefined,
    throttling: undefined,
    pressure: undefined,
  };
}

function sumOfMemory(parts: readonly MemoryAccount[]): MemoryAccount | undefined {
  if (parts.length === 0) return undefined;
  const of = (value: (part: MemoryAccount) => bigint): bigint => sum(parts.map(value));
  return {
    usage: of(({ usage }) => usage),
    limit: undefined,
    rss: of(({ rss }) => rss),
    cache: of(({ cache }) => cache),
    mappedFile: of(({ mappedFile }) => mappedFile),
    activeFile: of(({ activeFile }) => activeFile),
    inactiveFile: of(({ inactiveFile }) => inactiveFile),
    pageFaults: of(({ pageFaults }) => pageFaults),
    majorPageFaults: of(({ majorPageFaults }) => majorPageFaults),
    kernel: undefined,
    maxUsage: undefined,
    failures: undefined,
    oomKills: undefined,
    pressure: undefined,
  };
}

const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n);
