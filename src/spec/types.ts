import type { ContainerConfig, IDMapping, PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import type { CgroupDriver } from '../base/cgroup-driver.js';
import type { CdiEdits } from './cdi/cdi.js';
import type { ControllerSpec } from './controller-spec.js';
import type { ImageConfig } from './image-config.js';
import type { MountOption } from './mounts/mount-options.js';
import type { OciSeccomp, OciSpec } from './oci.js';

/** Facts about the machine and crid's own process that a spec depends on; read once at start. */
export interface HostFacts {
  readonly cgroupVersion: 1 | 2;
  readonly apparmor: boolean;
  readonly seccomp: boolean;
  readonly selinux: boolean;
  /** Whether swap can be limited: `memory.memsw.limit_in_bytes` (v1) or `memory.swap.max` (v2) exists. */
  readonly swapController: boolean;
  readonly hugetlbController: boolean;
  /** cgroup2 options such as `nsdelegate`; [] on v1. A mount in the host's namespace sets them for all (cgroups(7)). */
  readonly cgroupMountOptions: readonly string[];
  readonly hostname: string;
  /** The name that `uname -m` or Node's `process.arch` gives: both `x86_64` and `x64` work. */
  readonly machine: string;
  /** crid's own value. An unprivileged process cannot set a lower one. */
  readonly oomScoreAdj: number;
  /** Whether crid has CAP_SYS_RESOURCE in the initial user namespace. */
  readonly mayLowerOomScore: boolean;
  /** Whether the kernel has `net.ipv4.ip_unprivileged_port_start`. */
  readonly unprivilegedPortSysctl: boolean;
  /**
   * The most that a container can get: the permitted capabilities of crid's process, such as `CAP_CHOWN` (see
   * `parsePermittedCapabilities`). Unset: every capability that crid knows.
   */
  readonly capabilities?: readonly string[];
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary gid is first (CVE-2023-25173). */
  readonly additionalGids: readonly number[];
  /** Always "" in a spec for Linux. */
  readonly username: string;
}

export type Propagation = 'rprivate' | 'rshared' | 'rslave';

/** A CRI mount whose source exists on the host: created if it was missing, links resolved. */
export interface ResolvedMount {
  readonly containerPath: string;
  /** The source, links resolved. For an image mount: the sub path in the directory of the mounted snapshot. */
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly recursiveReadonly: boolean;
  readonly propagation: Propagation;
  /** Options of the mount itself; those of mounts below it stay as they are on the host, as with `readonly`. */
  readonly options: readonly MountOption[];
  readonly uidMappings: readonly IDMapping[];
  readonly gidMappings: readonly IDMapping[];
  readonly kind: 'bind' | 'image';
  /** The id of the mounted image; undefined for a bind mount. */
  readonly imageId: string | undefined;
}

export interface ResolvedDevice {
  /** Inside the container. */
  readonly path: string;
  /** `c`, `b`, `u` or `p`. */
  readonly type: string;
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
  /** A subset of `rwm`. */
  readonly access: string;
}

/** The configuration of a runtime handler that affects specs. */
export interface SpecHandlerOptions {
  /** Globs of the annotations that are passed to the spec. */
  readonly podAnnotations: readonly string[];
  readonly containerAnnotations: readonly string[];
  readonly privilegedWithoutHostDevices: boolean;
  readonly privilegedWithoutHostDevicesAllDevicesAllowed: boolean;
  readonly cgroupWritable: boolean;
  /** Whether the runtime supports cgroup namespaces (OCI features, linux.namespaces). */
  readonly cgroupNamespaces: boolean;
  /** The cgroup driver of the runtime; undefined if the runtime decides by the form of the cgroups path. */
  readonly cgroupDriver: CgroupDriver | undefined;
  /** Whether the runtime supports `rro` (OCI features, mountOptions). */
  readonly recursiveReadOnlyMounts: boolean;
  readonly runtimeFeatures: RuntimeFeatures;
  /** The parsed content of `base_runtime_spec`. */
  readonly baseSpec?: OciSpec;
}

/** The members of a spec that a runtime applies (OCI features); a runtime ignores those that it does not know. */
export interface RuntimeFeatures {
  readonly netDevices: boolean;
  /** The modes and flags of a memory policy, such as `MPOL_BIND`; none if the runtime has no memory policy. */
  readonly memoryPolicy: { readonly modes: readonly string[]; readonly flags: readonly string[] };
  readonly rdt: { readonly enabled: boolean; readonly schemata: boolean; readonly monitoring: boolean };
}

export const NO_FEATURES: RuntimeFeatures = {
  netDevices: false,
  memoryPolicy: { modes: [], flags: [] },
  rdt: { enabled: false, schemata: false, monitoring: false },
};

/** The configuration of crid that affects every spec. */
export interface SpecOptions {
  /** containerd's namespace, the default parent of cgroups. */
  readonly namespace: string;
  readonly disableProcMount: boolean;
  readonly disableApparmor: boolean;
  /** "", `unconfined`, `runtime/default` or `localhost/PATH`. */
  readonly unsetSeccompProfile: string;
  readonly restrictOomScoreAdj: boolean;
  readonly tolerateMissingHugetlbController: boolean;
  readonly disableHugetlbController: boolean;
  readonly deviceOwnershipFromSecurityContext: boolean;
  readonly enableUnprivilegedPorts: boolean;
  readonly enableUnprivilegedIcmp: boolean;
}

/** SELinux contexts, allocated by the caller; both empty or absent when SELinux is off. */
export interface SelinuxLabels {
  readonly processLabel: string;
  readonly mountLabel: string;
}

export interface ContainerSpecInput {
  readonly id: string;
  readonly podId: string;
  /** The pause process, whose namespaces are the pod's. 0: the pod has no process, only what `controllerSpec` names. */
  readonly podPid: number;
  /** "" or undefined on the host network. */
  readonly netnsPath?: string | undefined;
  /** The requirements of the sandbox controller that runs the pod. */
  readonly controllerSpec?: ControllerSpec | undefined;
  readonly config: ContainerConfig;
  readonly pod: PodSandboxConfig;
  /** The image reference for the annotation. */
  readonly imageName: string;
  readonly image: ImageConfig;
  readonly user: ResolvedUser;
  /** The CRI's mounts, in the order of the request. */
  readonly mounts: readonly ResolvedMount[];
  /** Host paths of the pod's files; undefined: the file does not exist. With IPC mode NODE, `shm` is the host's. */
  readonly podMounts: {
    readonly hosts?: string | undefined;
    readonly hostname?: string | undefined;
    readonly resolvConf?: string | undefined;
    readonly shm: string;
  };
  /** VOLUMEs of the image that no mount of the request replaces. The image's files are already copied. */
  readonly volumes: readonly { readonly containerPath: string; readonly hostPath: string }[];
  readonly devices: readonly ResolvedDevice[];
  /** All devices of the host; used for a privileged container only. */
  readonly privilegedDevices: readonly ResolvedDevice[];
  /** The process of the container that NamespaceMode TARGET names. */
  readonly targetPid?: number | undefined;
  /** The seccomp profiles that the request names by a path or a reference. */
  readonly seccompProfiles?: SeccompProfiles;
  readonly selinux?: SelinuxLabels | undefined;
  readonly handler: SpecHandlerOptions;
  readonly options: SpecOptions;
  readonly host: HostFacts;
  readonly cdi?: readonly CdiEdits[];
}

export interface SandboxSpecInput {
  readonly id: string;
  readonly pod: PodSandboxConfig;
  readonly image: ImageConfig;
  readonly imageName: string;
  /** Undefined on the host network. */
  readonly netnsPath: string | undefined;
  /** A pinned user namespace that owns the network namespace. If unset, the runtime creates one. */
  readonly usernsPath?: string | undefined;
  readonly hostname: string;
  /** The host's /dev/shm with IPC mode NODE. */
  readonly shmPath: string;
  readonly resolvConfPath: string;
  readonly user: ResolvedUser;
  readonly seccompProfiles?: SeccompProfiles;
  readonly selinux?: SelinuxLabels | undefined;
  readonly handler: SpecHandlerOptions;
  readonly options: SpecOptions;
  readonly host: HostFacts;
}

/** The seccomp profiles that a request names: the parsed JSON of the file, and the pulled profile. */
export interface SeccompProfiles {
  readonly localhost?: unknown;
  readonly pulled?: OciSeccomp;
}
