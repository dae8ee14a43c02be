import {
  ContainerState,
  IOPrioClass,
  LinuxSchedulerFlag,
  LinuxSchedulerPolicy,
  type Container as ContainerMessage,
  type Hook,
  type Hooks,
  type LinuxContainer,
  type LinuxDevice,
  type LinuxScheduler,
  type LinuxSeccomp,
} from '../../../generated/nri/v1alpha1/api.js';
import { SecurityProfile_ProfileType, type SecurityProfile } from '../../../generated/runtime/v1/api.js';
import type {
  OciDevice,
  OciHook,
  OciHookName,
  OciLinux,
  OciProcess,
  OciScheduler,
  OciSeccomp,
  OciSpec,
} from '../../spec/oci.js';
import type { Container } from '../../state/records.js';
import { namespaceMessage } from './pod-message.js';
import { ociResources, optional } from './resource-view.js';

/** A container's record without what it does not have before it is stored. */
export type ContainerFacts = Pick<Container, 'id' | 'podId' | 'config' | 'imageId' | 'imageName' | 'imageDigest'>;

/**
 * Returns a container as plugins see it, field by field as containerd's CRI plugin sends it, except that a container
 * that has ended is STOPPED and has its reason and message. `life` is undefined while the container is being created.
 * `pid`: of a task that is created and not started.
 */
export function containerMessage(
  container: ContainerFacts,
  spec: OciSpec,
  life?: Pick<Container, 'createdAtNs' | 'state'> & { readonly pid?: number | undefined },
): ContainerMessage {
  const { config } = container;
  const { process, annotations = {} } = spec;
  return {
    id: container.id,
    pod_sandbox_id: container.podId,
    name: annotations['io.kubernetes.cri.container-name'] ?? config.metadata?.name ?? '',
    labels: { ...config.labels, 'io.cri-containerd.kind': 'container' },
    annotations: { ...annotations, ...config.annotations },
    args: [...process.args],
    env: [...process.env],
    mounts: spec.mounts.map(({ destination, type = '', source = '', options = [] }) => ({
      destination,
      type,
      source,
      options: [...options],
    })),
    hooks: spec.hooks && hooksOf(spec.hooks),
    linux: linuxOf(spec.linux, process, config.linux?.security_context?.seccomp),
    rlimits: (process.rlimits ?? []).map(({ type, hard, soft }) => ({ type, hard: BigInt(hard), soft: BigInt(soft) })),
    CDI_devices: config.CDI_devices.map(({ name }) => ({ name })),
    user: {
      uid: process.user.uid,
      gid: process.user.gid,
      additional_gids: [...(process.user.additionalGids ?? [])],
    },
    image: imageOf(container),
    ...lifeOf(life),
  };
}

type Life = Pick<
  ContainerMessage,
  'state' | 'pid' | 'created_at' | 'started_at' | 'finished_at' | 'exit_code' | 'status_reason' | 'status_message'
>;

const UNBORN: Life = {
  state: ContainerState.CONTAINER_UNKNOWN,
  pid: 0,
  created_at: 0n,
  started_at: 0n,
  finished_at: 0n,
  exit_code: 0,
  status_reason: '',
  status_message: '',
};

function lifeOf(life: Parameters<typeof containerMessage>[2]): Life {
  if (!life) return UNBORN;
  const { state, createdAtNs, pid = 0 } = life;
  const born = { ...UNBORN, created_at: createdAtNs };
  switch (state.phase) {
    case 'created':
      return { ...born, state: ContainerState.CONTAINER_CREATED, pid };
    case 'running':
      return { ...born, state: ContainerState.CONTAINER_RUNNING, pid: state.pid, started_at: state.startedAtNs };
    case 'exited':
      return {
        ...born,
        state: ContainerState.CONTAINER_STOPPED,
        started_at: state.startedAtNs,
        finished_at: state.finishedAtNs,
        exit_code: state.exitCode,
        status_reason: state.reason,
        status_message: state.message,
      };
  }
}

const imageOf = ({ imageName, imageDigest, imageId }: ContainerFacts): ContainerMessage['image'] =>
  imageName === '' && imageDigest === '' && imageId === ''
    ? undefined
    : { name: imageName, digest: imageDigest, config_digest: imageId };

const hooksOf = (hooks: NonNullable<OciSpec['hooks']>): Hooks => {
  const of = (name: OciHookName): Hook[] => (hooks[name] ?? []).map(hookOf);
  return {
    prestart: of('prestart'),
    create_runtime: of('createRuntime'),
    create_container: of('createContainer'),
    start_container: of('startContainer'),
    poststart: of('poststart'),
    poststop: of('poststop'),
  };
};

const hookOf = ({ path, args = [], env = [], timeout }: OciHook): Hook => ({
  path,
  args: [...args],
  env: [...env],
  timeout: timeout === undefined ? undefined : { value: BigInt(timeout) },
});

function linuxOf(
  linux: OciLinux,
  { oomScoreAdj, ioPriority, scheduler }: OciProcess,
  profile: SecurityProfile | undefined,
): LinuxContainer {
  return {
    namespaces: linux.namespaces.map(namespaceMessage),
    devices: (linux.devices ?? []).map(deviceOf),
    resources: ociResources(linux.resources),
    oom_score_adj: oomScoreAdj === undefined ? undefined : { value: BigInt(oomScoreAdj) },
    cgroups_path: linux.cgroupsPath ?? '',
    io_priority: ioPriority && {
      class: IOPrioClass[ioPriority.class as keyof typeof IOPrioClass] ?? IOPrioClass.IOPRIO_CLASS_NONE,
      priority: ioPriority.priority,
    },
    seccomp_profile: profile && profileOf(profile),
    seccomp_policy: linux.seccomp && seccompOf(linux.seccomp),
    sysctl: { ...linux.sysctl },
    net_devices: Object.fromEntries(
      Object.entries(linux.netDevices ?? {}).map(([host, { name = '' }]) => [host, { name }]),
    ),
    scheduler: scheduler && schedulerOf(scheduler),
    rdt: linux.intelRdt && rdtOf(linux.intelRdt),
  };
}

/** NRI has no type for a profile from a registry; its rules are in `seccomp_policy`. */
const profileOf = ({ profile_type, localhost_ref }: SecurityProfile): LinuxContainer['seccomp_profile'] =>
  profile_type === SecurityProfile_ProfileType.OCI
    ? undefined
    : { profile_type: profile_type as number, localhost_ref };

const deviceOf = ({ path, type, major, minor, fileMode, uid, gid }: OciDevice): LinuxDevice => ({
  path,
  type,
  major: BigInt(major),
  minor: BigInt(minor),
  file_mode: optional(fileMode),
  uid: optional(uid),
  gid: optional(gid),
});

const schedulerOf = (scheduler: OciScheduler): LinuxScheduler => ({
  policy:
    LinuxSchedulerPolicy[scheduler.policy as keyof typeof LinuxSchedulerPolicy] ?? LinuxSchedulerPolicy.SCHED_NONE,
  nice: scheduler.nice ?? 0,
  priority: scheduler.priority ?? 0,
  flags: (scheduler.flags ?? []).map((flag) => LinuxSchedulerFlag[flag as keyof typeof LinuxSchedulerFlag]),
  runtime: BigInt(scheduler.runtime ?? 0),
  deadline: BigInt(scheduler.deadline ?? 0),
  period: BigInt(scheduler.period ?? 0),
});

const rdtOf = (rdt: Record<string, unknown>): LinuxContainer['rdt'] => ({
  clos_id: { value: typeof rdt['closID'] === 'string' ? rdt['closID'] : '' },
  schemata: { value: Array.isArray(rdt['schemata']) ? rdt['schemata'].map(String) : [] },
  enable_monitoring: { value: rdt['enableMonitoring'] === true },
  remove: false,
});

const seccompOf = (seccomp: OciSeccomp): LinuxSeccomp => ({
  default_action: seccomp.defaultAction,
  default_errno: optional(seccomp.defaultErrnoRet),
  architectures: [...(seccomp.architectures ?? [])],
  flags: [...(seccomp.flags ?? [])],
  listener_path: seccomp.listenerPath ?? '',
  listener_metadata: seccomp.listenerMetadata ?? '',
  syscalls: (seccomp.syscalls ?? []).map(({ names, action, errnoRet, args = [] }) => ({
    names: [...names],
    action,
    errno_ret: optional(errnoRet),
    args: args.map(({ index, value, valueTwo = 0, op }) => ({
      index,
      value: BigInt.asUintN(64, BigInt(value)),
      value_two: BigInt.asUintN(64, BigInt(valueTwo)),
      op,
    })),
  })),
});
