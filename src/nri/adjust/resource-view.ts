import type { LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { LinuxCPU, LinuxMemory, LinuxResources, type LinuxDeviceCgroup } from '../../../generated/nri/v1alpha1/api.js';
import type { OciDeviceRule, OciResources } from '../../spec/oci.js';

/** Returns a value of NRI's that may be unset. */
export const optional = <T>(value: T | undefined): { value: T } | undefined =>
  value === undefined ? undefined : { value };

/** Converts resources of the CRI. Values of 0 are sent too, as containerd's plugin does. */
export const criResources = (resources: LinuxContainerResources | undefined): LinuxResources | undefined =>
  resources &&
  LinuxResources.fromPartial({
    cpu: {
      shares: { value: BigInt.asUintN(64, resources.cpu_shares) },
      quota: { value: resources.cpu_quota },
      period: { value: BigInt.asUintN(64, resources.cpu_period) },
      cpus: resources.cpuset_cpus,
      mems: resources.cpuset_mems,
    },
    memory: { limit: { value: resources.memory_limit_in_bytes } },
    hugepage_limits: resources.hugepage_limits,
    unified: { ...resources.unified },
  });

/** Converts the resources of an OCI spec. */
export const ociResources = (resources: OciResources): LinuxResources => ({
  memory: resources.memory && memoryOf(resources.memory),
  cpu: resources.cpu && cpuOf(resources.cpu),
  hugepage_limits: (resources.hugepageLimits ?? []).map(({ pageSize, limit }) => ({ page_size: pageSize, limit })),
  blockio_class: undefined,
  rdt_class: undefined,
  unified: { ...resources.unified },
  devices: (resources.devices ?? []).map(deviceRule),
  pids: resources.pids && { limit: BigInt(resources.pids.limit) },
});

const memoryOf = (memory: NonNullable<OciResources['memory']>): LinuxMemory =>
  LinuxMemory.fromPartial({
    limit: optional(memory.limit),
    reservation: optional(memory.reservation),
    swap: optional(memory.swap),
    kernel: optional(memory.kernel),
    kernel_tcp: optional(memory.kernelTCP),
    swappiness: optional(memory.swappiness),
    disable_oom_killer: optional(memory.disableOOMKiller),
    use_hierarchy: optional(memory.useHierarchy),
  });

const cpuOf = (cpu: NonNullable<OciResources['cpu']>): LinuxCPU =>
  LinuxCPU.fromPartial({
    shares: optional(cpu.shares),
    quota: optional(cpu.quota),
    period: optional(cpu.period),
    realtime_runtime: optional(cpu.realtimeRuntime),
    realtime_period: optional(cpu.realtimePeriod),
    cpus: cpu.cpus ?? '',
    mems: cpu.mems ?? '',
  });

const deviceRule = ({ allow, type = '', major, minor, access = '' }: OciDeviceRule): LinuxDeviceCgroup => ({
  allow,
  type,
  major: major === undefined ? undefined : { value: BigInt(major) },
  minor: minor === undefined ? undefined : { value: BigInt(minor) },
  access,
});
