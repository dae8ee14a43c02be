import { Field, LinuxCPU, LinuxMemory, LinuxResources } from '../../../generated/nri/v1alpha1/api.js';
import type { Claims } from './merge-entries.js';

const MEMORY = [
  ['limit', Field.MemLimit],
  ['reservation', Field.MemReservation],
  ['swap', Field.MemSwapLimit],
  ['kernel', Field.MemKernelLimit],
  ['kernel_tcp', Field.MemTCPLimit],
  ['swappiness', Field.MemSwappiness],
  ['disable_oom_killer', Field.MemDisableOomKiller],
  ['use_hierarchy', Field.MemUseHierarchy],
] as const;

const CPU = [
  ['shares', Field.CPUShares],
  ['quota', Field.CPUQuota],
  ['period', Field.CPUPeriod],
  ['realtime_runtime', Field.CPURealtimeRuntime],
  ['realtime_period', Field.CPURealtimePeriod],
  ['cpus', Field.CPUSetCPUs],
  ['mems', Field.CPUSetMems],
] as const;

const CLASSES = [
  ['blockio_class', Field.BlockioClass],
  ['rdt_class', Field.RdtClass],
  ['pids', Field.PidsLimit],
] as const;

/** Merges resources: each value of CPU and memory, each page size and each unified key has one owner. */
export const mergeResources = {
  claim(asked: LinuxResources, { owners, id, plugin }: Claims): void {
    const claimAll = <T extends object>(part: T | undefined, fields: readonly (readonly [keyof T, Field])[]): void => {
      for (const [name, field] of fields) if (isSet(part?.[name])) owners.claim(id, plugin, field);
    };
    claimAll(asked.memory, MEMORY);
    claimAll(asked.cpu, CPU);
    claimAll(asked, CLASSES);
    for (const { page_size } of asked.hugepage_limits) owners.claim(id, plugin, Field.HugepageLimits, page_size);
    for (const key of Object.keys(asked.unified)) owners.claim(id, plugin, Field.CgroupsUnified, key);
  },
  /** Returns `before` with the values that `asked` sets. Device rules are added to those before. */
  over(before: LinuxResources | undefined, asked: LinuxResources): LinuxResources {
    const sizes = new Set(asked.hugepage_limits.map(({ page_size }) => page_size));
    const kept = (before?.hugepage_limits ?? []).filter(({ page_size }) => !sizes.has(page_size));
    return {
      ...LinuxResources.fromPartial(before ?? {}),
      memory: LinuxMemory.fromPartial({ ...before?.memory, ...setIn(asked.memory) }),
      cpu: LinuxCPU.fromPartial({ ...before?.cpu, ...setIn(asked.cpu) }),
      hugepage_limits: [...kept, ...asked.hugepage_limits],
      unified: { ...before?.unified, ...asked.unified },
      devices: [...(before?.devices ?? []), ...asked.devices],
      ...(asked.blockio_class && { blockio_class: asked.blockio_class }),
      ...(asked.rdt_class && { rdt_class: asked.rdt_class }),
      ...(asked.pids && { pids: asked.pids }),
    };
  },
};

const isSet = (value: unknown): boolean => value !== undefined && value !== '';

const setIn = <T extends object>(part: T | undefined): Partial<T> =>
  Object.fromEntries(Object.entries(part ?? {}).filter(([, value]) => isSet(value))) as Partial<T>;
