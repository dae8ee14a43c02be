import {
  IOPrioClass,
  LinuxSchedulerFlag,
  LinuxSchedulerPolicy,
  MpolFlag,
  MpolMode,
  type LinuxContainerAdjustment,
  type LinuxDevice,
  type LinuxDeviceCgroup,
  type LinuxIOPriority,
  type LinuxMemoryPolicy,
  type LinuxNamespace,
  type LinuxRdt,
  type LinuxScheduler,
  type LinuxSeccomp,
} from '../../../generated/nri/v1alpha1/api.js';
import type {
  OciBlockIo,
  OciDevice,
  OciDeviceRule,
  OciLinux,
  OciNamespace,
  OciNamespaceType,
  OciProcess,
  OciResources,
  OciScheduler,
  OciSeccomp,
  OciSpec,
} from '../../spec/oci.js';
import { oomScoreAdj } from '../../spec/oom-score.js';
import type { HostFacts, SpecOptions } from '../../spec/types.js';
import { entriesOf } from './apply-entries.js';
import { applyResources } from './apply-resources.js';
import { markedKey } from './removal.js';

export interface ApplyFacts {
  readonly host: HostFacts;
  readonly options: SpecOptions;
  /** The adjustment's class of block I/O. */
  readonly blockIo?: OciBlockIo | undefined;
}

/** Applies the part of an adjustment that is special to Linux. */
export function applyLinux(spec: OciSpec, asked: LinuxContainerAdjustment | undefined, facts: ApplyFacts): OciSpec {
  if (!asked) return spec;
  const process = processOf(spec.process, asked, facts);
  const { sysctl, net_devices, resources, cgroups_path, seccomp_policy, memory_policy } = asked;
  const withDevices = devicesOf(spec.linux, asked.devices);
  const linux: OciLinux = {
    ...withDevices,
    ...(resources && {
      resources: withBlockIo(
        rulesOf(applyResources(withDevices.resources, resources, facts), resources.devices),
        resources.blockio_class?.value,
        facts.blockIo,
      ),
    }),
    ...(cgroups_path !== '' && { cgroupsPath: cgroups_path }),
    ...(seccomp_policy && { seccomp: seccompOf(seccomp_policy) }),
    namespaces: namespacesOf(spec.linux.namespaces, asked.namespaces),
    ...(Object.keys(sysctl).length > 0 && { sysctl: entriesOf(spec.linux.sysctl ?? {}, sysctl, (value) => value) }),
    ...(Object.keys(net_devices).length > 0 && {
      netDevices: entriesOf(withDevices.netDevices ?? {}, net_devices, ({ name }) => ({
        ...(name !== '' && { name }),
      })),
    }),
    ...(memory_policy && { memoryPolicy: memoryPolicyOf(memory_policy) }),
  };
  return { ...spec, process, linux: withRdt(linux, resources?.rdt_class?.value, asked.rdt) };
}

/** The empty class clears what the container has. */
function withBlockIo(
  { blockIO, ...resources }: OciResources,
  name: string | undefined,
  asked: OciBlockIo | undefined,
): OciResources {
  const set = name === undefined ? blockIO : asked;
  return { ...resources, ...(set && { blockIO: set }) };
}

function processOf(
  process: OciProcess,
  { oom_score_adj, io_priority, scheduler }: LinuxContainerAdjustment,
  { host, options }: ApplyFacts,
): OciProcess {
  return {
    ...process,
    ...(oom_score_adj && { oomScoreAdj: oomScoreAdj(oom_score_adj.value, host, options) }),
    ...(io_priority && { ioPriority: ioPriorityOf(io_priority) }),
    ...(scheduler && { scheduler: schedulerOf(scheduler) }),
  };
}

/** A device replaces the one at its path. A removed device loses its rule, unless another node has the same numbers. */
function devicesOf(linux: OciLinux, asked: readonly LinuxDevice[]): OciLinux {
  if (asked.length === 0) return linux;
  const changes = asked.map((device) => ({ device, ...markedKey(device.path) }));
  const paths = new Set(changes.map(({ key }) => key));
  const before = linux.devices ?? [];
  const added = changes.filter(({ removed }) => !removed).map(({ device }) => device);
  const devices = [...before.filter(({ path }) => !paths.has(path)), ...added.map(deviceOf)];
  const removed = new Set(changes.filter((change) => change.removed).map(({ key }) => key));
  const gone = before
    .filter(({ path }) => removed.has(path))
    .filter((one) => !devices.some((two) => sameNode(one, two)));
  const rules = (linux.resources.devices ?? []).filter(
    (rule) => !gone.some((one) => rule.allow && sameNode(one, rule)),
  );
  return {
    ...linux,
    devices,
    resources: { ...linux.resources, devices: [...rules, ...added.map(accessTo)] },
  };
}

const sameNode = (device: OciDevice, { type, major, minor }: Partial<OciDevice>): boolean =>
  device.type === type && device.major === major && device.minor === minor;

const deviceOf = ({ path, type, major, minor, file_mode, uid, gid }: LinuxDevice): OciDevice => ({
  path,
  type,
  major: Number(major),
  minor: Number(minor),
  ...(file_mode && { fileMode: file_mode.value & 0o7777 }),
  ...(uid && { uid: uid.value }),
  ...(gid && { gid: gid.value }),
});

/** The access that upstream gives (pkg/api/device.go, AccessString): nodes may be made only of block devices. */
const accessTo = ({ type, major, minor }: LinuxDevice): OciDeviceRule => ({
  allow: true,
  type,
  major: Number(major),
  minor: Number(minor),
  access: type === 'b' ? 'rwm' : 'rw',
});

const rulesOf = (resources: OciLinux['resources'], added: readonly LinuxDeviceCgroup[]): OciLinux['resources'] =>
  added.length === 0 ? resources : { ...resources, devices: [...(resources.devices ?? []), ...added.map(ruleOf)] };

const ruleOf = ({ allow, type, major, minor, access }: LinuxDeviceCgroup): OciDeviceRule => ({
  allow,
  ...(type !== '' && { type }),
  ...(major && { major: Number(major.value) }),
  ...(minor && { minor: Number(minor.value) }),
  ...(access !== '' && { access }),
});

/** A namespace replaces the one of its type, in its place. */
function namespacesOf(before: readonly OciNamespace[], asked: readonly LinuxNamespace[]): OciNamespace[] {
  const byType = new Map<string, OciNamespace>(before.map((namespace) => [namespace.type, namespace]));
  for (const { type: text, path } of asked) {
    const { key, removed } = markedKey(text);
    if (removed) byType.delete(key);
    else byType.set(key, { type: key as OciNamespaceType, ...(path !== '' && { path }) });
  }
  return [...byType.values()];
}

const ioPriorityOf = ({ class: of, priority }: LinuxIOPriority): OciProcess['ioPriority'] =>
  of === IOPrioClass.IOPRIO_CLASS_NONE ? undefined : { class: IOPrioClass[of], priority };

const schedulerOf = (scheduler: LinuxScheduler): OciScheduler | undefined => {
  const { policy, nice, priority, flags, runtime, deadline, period } = scheduler;
  if (policy === LinuxSchedulerPolicy.SCHED_NONE) return undefined;
  return {
    policy: LinuxSchedulerPolicy[policy],
    ...(nice !== 0 && { nice }),
    ...(priority !== 0 && { priority }),
    ...(flags.length > 0 && { flags: flags.map((flag) => LinuxSchedulerFlag[flag]) }),
    ...(runtime !== 0n && { runtime }),
    ...(deadline !== 0n && { deadline }),
    ...(period !== 0n && { period }),
  };
};

const memoryPolicyOf = ({ mode, nodes, flags }: LinuxMemoryPolicy): NonNullable<OciLinux['memoryPolicy']> => ({
  mode: MpolMode[mode],
  nodes,
  ...(flags.length > 0 && { flags: flags.map((flag) => MpolFlag[flag]) }),
});

const seccompOf = (policy: LinuxSeccomp): OciSeccomp => ({
  defaultAction: policy.default_action,
  ...(policy.default_errno && { defaultErrnoRet: policy.default_errno.value }),
  ...(policy.architectures.length > 0 && { architectures: [...policy.architectures] }),
  ...(policy.flags.length > 0 && { flags: [...policy.flags] }),
  ...(policy.listener_path !== '' && { listenerPath: policy.listener_path }),
  ...(policy.listener_metadata !== '' && { listenerMetadata: policy.listener_metadata }),
  ...(policy.syscalls.length > 0 && {
    syscalls: policy.syscalls.map(({ names, action, errno_ret, args }) => ({
      names: [...names],
      action,
      ...(errno_ret && { errnoRet: errno_ret.value }),
      ...(args.length > 0 && {
        args: args.map(({ index, value, value_two, op }) => ({
          index,
          value,
          ...(value_two !== 0n && { valueTwo: value_two }),
          op,
        })),
      }),
    })),
  }),
});

/** An RDT class is the name of a CLOS (as in containerd), and "" clears what the spec has. */
function withRdt(linux: OciLinux, rdtClass: string | undefined, rdt: LinuxRdt | undefined): OciLinux {
  if (rdtClass === undefined && rdt === undefined) return linux;
  const { intelRdt: before, ...rest } = linux;
  const ofClass = rdtClass === undefined ? before : rdtClass === '' ? undefined : { closID: rdtClass };
  const kept = rdt?.remove ? undefined : ofClass;
  const set = {
    ...(rdt?.clos_id && { closID: rdt.clos_id.value }),
    ...(rdt?.schemata && { schemata: [...rdt.schemata.value] }),
    ...(rdt?.enable_monitoring && { enableMonitoring: rdt.enable_monitoring.value }),
  };
  const intelRdt = { ...kept, ...set };
  return Object.keys(intelRdt).length === 0 ? rest : { ...rest, intelRdt };
}
