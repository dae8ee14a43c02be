import type {
  CpuUsage,
  FilesystemUsage,
  IoUsage,
  MemoryUsage,
  PsiStats,
  SwapUsage,
  UInt64Value,
} from '../../generated/runtime/v1/api.js';
import { workingSetBytes, type CgroupUsage, type Pressure, type Stall } from '../base/cgroup-usage.js';
import type { LayerUsage } from './writable-layers.js';

/** Usage in the form of CRI messages. Unknown values are undefined. */
export interface CriUsage {
  readonly cpu: CpuUsage | undefined;
  readonly memory: MemoryUsage | undefined;
  readonly swap: SwapUsage | undefined;
  readonly io: IoUsage | undefined;
}

export function criUsage(usage: CgroupUsage, atNs: bigint, nanoCores: bigint | undefined): CriUsage {
  const { cpu, memory, swap, ioPressure } = usage;
  return {
    cpu: cpu && {
      timestamp: atNs,
      usage_core_nano_seconds: { value: cpu.usageNs },
      usage_nano_cores: optional(nanoCores),
      psi: psiOf(cpu.pressure),
    },
    memory: memory && {
      timestamp: atNs,
      working_set_bytes: { value: workingSetBytes(memory) },
      available_bytes: memory.limit === undefined ? undefined : rest(memory.limit, workingSetBytes(memory)),
      usage_bytes: { value: memory.usage },
      rss_bytes: { value: memory.rss },
      page_faults: { value: memory.pageFaults },
      major_page_faults: { value: memory.majorPageFaults },
      psi: psiOf(memory.pressure),
    },
    swap: swap && {
      timestamp: atNs,
      swap_available_bytes: swap.limit === undefined ? undefined : rest(swap.limit, swap.usage),
      swap_usage_bytes: { value: swap.usage },
    },
    io: ioPressure && { timestamp: atNs, psi: psiOf(ioPressure) },
  };
}

export const criLayer = (layer: LayerUsage, mountpoint: string): FilesystemUsage => ({
  timestamp: layer.measuredAtNs,
  fs_id: { mountpoint },
  used_bytes: { value: layer.bytes },
  inodes_used: { value: layer.inodes },
});

const optional = (value: bigint | undefined): UInt64Value | undefined => (value === undefined ? undefined : { value });

const rest = (limit: bigint, used: bigint): UInt64Value => ({ value: limit > used ? limit - used : 0n });

const psiOf = (pressure: Pressure | undefined): PsiStats | undefined =>
  pressure && { Full: stallOf(pressure.full), Some: stallOf(pressure.some) };

const stallOf = (stall: Stall | undefined): PsiStats['Full'] =>
  stall && { Total: stall.totalNs, Avg10: stall.avg10, Avg60: stall.avg60, Avg300: stall.avg300 };
