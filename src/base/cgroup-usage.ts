/**
 * The usage of a cgroup, read from the kernel's files or reported by a runtime that keeps its own accounts (a virtual
 * machine). Bytes, nanoseconds and counts. Undefined means unknown, or for a limit, unlimited.
 */
export interface CgroupUsage {
  readonly cpu: CpuAccount | undefined;
  readonly memory: MemoryAccount | undefined;
  readonly swap: { readonly usage: bigint; readonly limit: bigint | undefined } | undefined;
  /** Tasks as the kernel counts them, which are threads. */
  readonly pids: { readonly current: bigint; readonly limit: bigint | undefined } | undefined;
  readonly devices: readonly DeviceAccount[];
  readonly ioPressure: Pressure | undefined;
}

export interface CpuAccount {
  readonly usageNs: bigint;
  readonly userNs: bigint | undefined;
  readonly systemNs: bigint | undefined;
  readonly throttling:
    { readonly periods: bigint; readonly throttledPeriods: bigint; readonly throttledNs: bigint } | undefined;
  readonly pressure: Pressure | undefined;
}

export interface MemoryAccount {
  readonly usage: bigint;
  readonly limit: bigint | undefined;
  /** Anonymous memory. */
  readonly rss: bigint;
  readonly cache: bigint;
  readonly mappedFile: bigint;
  readonly activeFile: bigint;
  readonly inactiveFile: bigint;
  readonly pageFaults: bigint;
  readonly majorPageFaults: bigint;
  readonly kernel: bigint | undefined;
  readonly maxUsage: bigint | undefined;
  /** How often the limit was reached. */
  readonly failures: bigint | undefined;
  readonly oomKills: bigint | undefined;
  readonly pressure: Pressure | undefined;
}

export interface DeviceAccount {
  readonly major: bigint;
  readonly minor: bigint;
  readonly readBytes: bigint;
  readonly writeBytes: bigint;
  readonly reads: bigint;
  readonly writes: bigint;
}

/** Pressure stall information (psi.rst): shares in percent, the total in nanoseconds. */
export interface Pressure {
  readonly some: Stall | undefined;
  readonly full: Stall | undefined;
}

export interface Stall {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalNs: bigint;
}

/** The kubelet's working set: memory that cannot be reclaimed immediately. */
export const workingSetBytes = ({ usage, inactiveFile }: MemoryAccount): bigint =>
  usage > inactiveFile ? usage - inactiveFile : 0n;
