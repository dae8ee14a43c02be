/**
 * What a cgroup has used, whoever told it: the kernel's own files or a runtime that keeps its accounts elsewhere (a
 * virtual machine). Bytes, nanoseconds and counts; undefined where it is not known, limits also where there is none.
 */
export interface CgroupUsage {
  readonly cpu: CpuAccount | undefined;
  readonly memory: MemoryAccount | undefined;
  readonly swap: { readonly usage: bigint; readonly limit: bigint | undefined } | undefined;
  /** Tasks as the kernel counts them: threads. */
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
  /** How often the limit was hit; cgroup v1 only. */
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

/** What a kubelet calls the working set: all that cannot be dropped at once. */
export const workingSetBytes = ({ usage, inactiveFile }: MemoryAccount): bigint =>
  usage > inactiveFile ? usage - inactiveFile : 0n;
