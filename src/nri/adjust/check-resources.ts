import type { LinuxMemory, LinuxResources } from '../../../generated/nri/v1alpha1/api.js';
import { LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../../base/errors.js';
import { requireClass, type BlockIoClasses } from '../../spec/block-io.js';
import type { ResourceHost, ResourceOptions } from '../../spec/resources.js';
import type { SpecHandlerOptions } from '../../spec/types.js';
import { checkResources } from '../../spec/validate/validate-resources.js';

export interface ResourceFacts {
  readonly host: ResourceHost;
  readonly options: ResourceOptions;
  readonly handler: Pick<SpecHandlerOptions, 'runtimeFeatures'>;
  /** The classes of the node, or why they cannot be read; undefined if none are configured. */
  readonly blockIo?: BlockIoClasses | CriError | undefined;
  /** Whether the node has mounted the file system of RDT (resctrl). */
  readonly resctrl?: boolean | undefined;
}

const MAX_SIGNED = 2n ** 63n - 1n;

/**
 * INVALID_ARGUMENT names a value that no cgroup accepts, or that this node's cgroups do not have; FAILED_PRECONDITION:
 * the node has no hugetlb controller.
 */
export function checkNriResources(resources: LinuxResources, field: string, facts: ResourceFacts): void {
  const { memory, cpu, hugepage_limits, unified, pids } = resources;
  const shares = cpu?.shares?.value ?? 0n;
  const period = cpu?.period?.value ?? 0n;
  if (shares > MAX_SIGNED) throw invalidArgument(`${field}.cpu.shares`, `${shares} is too large`);
  if (period > MAX_SIGNED) throw invalidArgument(`${field}.cpu.period`, `${period} is too large`);
  checkResources(
    LinuxContainerResources.fromPartial({
      cpu_shares: shares,
      cpu_period: period,
      cpuset_cpus: cpu?.cpus ?? '',
      cpuset_mems: cpu?.mems ?? '',
      memory_limit_in_bytes: memory?.limit?.value ?? 0n,
      memory_swap_limit_in_bytes: memory?.swap?.value ?? 0n,
      hugepage_limits,
      unified,
    }),
    field,
  );
  const { host, options } = facts;
  if (memory) checkMemory(memory, `${field}.memory`, host);
  if (pids && pids.limit < -1n) throw invalidArgument(`${field}.pids.limit`, `expected -1 or more`);
  if (host.cgroupVersion === 1 && Object.keys(unified).length > 0)
    throw invalidArgument(`${field}.unified`, 'this host has cgroup v1, which has no unified resources');
  for (const name of ['realtime_runtime', 'realtime_period'] as const)
    if (cpu?.[name] && host.cgroupVersion === 2) throw onlyV1(`${field}.cpu.${name}`);
  const needsHugetlb = hugepage_limits.length > 0 && !options.disableHugetlbController;
  if (needsHugetlb && !host.hugetlbController && !options.tolerateMissingHugetlbController)
    throw new CriError('FAILED_PRECONDITION', `${field}.hugepage_limits: this host has no hugetlb cgroup controller`);
  if (resources.blockio_class?.value)
    checkClass(resources.blockio_class.value, facts.blockIo, `${field}.blockio_class`);
  if (resources.rdt_class?.value) checkRdtSupport(`${field}.rdt_class`, facts);
}

/** On a node without RDT, runc 1.3.6 runs the container without its class and reports no error. */
export function checkRdtSupport(
  field: string,
  { handler, resctrl }: ResourceFacts,
  feature: RdtFeature = 'enabled',
): void {
  if (!handler.runtimeFeatures.rdt[feature]) throw invalidArgument(field, 'the OCI runtime does not support it');
  if (!resctrl) throw invalidArgument(field, 'this node has no resctrl file system');
}

type RdtFeature = keyof SpecHandlerOptions['runtimeFeatures']['rdt'];

/** As `checkNriResources`, for a container that exists: its device rules and classes cannot be changed. */
export function checkNriUpdate(resources: LinuxResources, field: string, facts: ResourceFacts): void {
  for (const name of ['rdt_class', 'blockio_class'] as const)
    if (resources[name]) throw invalidArgument(`${field}.${name}`, 'cannot be changed in a container that exists');
  if (resources.devices.length > 0)
    throw invalidArgument(`${field}.devices`, 'cannot be changed in a container that exists');
  checkNriResources(resources, field, facts);
}

function checkClass(name: string, classes: ResourceFacts['blockIo'], field: string): void {
  if (classes === undefined) throw invalidArgument(field, 'crid has no configuration of block I/O classes');
  if (classes instanceof CriError) throw classes.prefixed(field);
  requireClass(name, classes, field);
}

function checkMemory(memory: LinuxMemory, field: string, host: ResourceHost): void {
  if (memory.swap && !host.swapController) throw invalidArgument(`${field}.swap`, 'this host cannot limit swap');
  if (memory.kernel) throw invalidArgument(`${field}.kernel`, 'OCI runtimes have no such limit');
  if (memory.use_hierarchy) throw invalidArgument(`${field}.use_hierarchy`, 'OCI runtimes ignore it');
  if (host.cgroupVersion === 1) return;
  for (const name of ['kernel_tcp', 'swappiness', 'disable_oom_killer'] as const)
    if (memory[name]) throw onlyV1(`${field}.${name}`);
}

const onlyV1 = (field: string): CriError => invalidArgument(field, 'exists in cgroup v1 only');
