import { invalidArgument } from '../../base/errors.js';
import { cleanPath, depthOf, fromRoot } from '../clean-path.js';
import type { OciMount } from '../oci.js';
import type { ContainerSpecInput, ResolvedMount } from '../types.js';
import { ociMapping, type UserNamespaceMappings } from '../user/user-namespace.js';
import { defaultMounts, HOST_SYS_MOUNT } from './default-mounts.js';

export interface ContainerMountsInput {
  /** The CRI mounts, in the order of the request. */
  readonly requested: readonly ResolvedMount[];
  readonly podMounts: ContainerSpecInput['podMounts'];
  /** The mounts that a sandbox controller requires. */
  readonly controllerMounts?: readonly OciMount[] | undefined;
  readonly volumes: ContainerSpecInput['volumes'];
  readonly readonlyRootfs: boolean;
  readonly privileged: boolean;
  readonly cgroupWritable: boolean;
  /** Options of the host's cgroup mount. Mounts share its super block: one without them clears them on the host. */
  readonly cgroupOptions: readonly string[];
  readonly userNamespace: UserNamespaceMappings | undefined;
  /** Whether /sys is a read-only bind mount of the host's: for a user namespace on the host's network. */
  readonly hostSys: boolean;
  readonly recursiveReadOnlySupported: boolean;
  /** The mounts of a base spec, which replace the default mounts. */
  readonly base?: readonly OciMount[] | undefined;
}

export interface ContainerMounts {
  readonly mounts: OciMount[];
  /** `linux.rootfsPropagation`; undefined means the runtime's default, private. */
  readonly rootfsPropagation: 'rshared' | 'rslave' | undefined;
}

/**
 * Returns all mounts of a container: the default mounts, the cgroup mount, and then, sorted by depth so that none hides
 * another, the mounts of the request, of the pod's files and of the image's volumes. A mount of the request replaces
 * any other mount at its path; a mount at /dev also removes the default mounts below /dev.
 */
export function containerMounts(input: ContainerMountsInput): ContainerMounts {
  const taken = new Set(input.requested.map(({ containerPath }) => cleanPath(containerPath)));
  const extra = extraMounts(input).filter(({ destination }) => !taken.has(cleanPath(destination)));
  const bound = [...input.requested.map((mount) => requestedMount(mount, input)), ...extra];
  const destinations = new Set(bound.map(({ destination }) => cleanPath(destination)));
  const system = systemMounts(input).filter(({ destination }) => {
    const path = cleanPath(destination);
    return !destinations.has(path) && !(destinations.has('/dev') && path.startsWith('/dev/'));
  });
  return {
    mounts: [...system, ...bound.sort((a, b) => depthOf(a.destination) - depthOf(b.destination))],
    rootfsPropagation: rootfsPropagation(input.requested),
  };
}

/**
 * Returns the mounts of the pause container: its shm and resolv.conf read-only, and no cgroups. The first mount of a
 * network namespace's sysfs decides whether any mount of it can be writable, so that of a privileged pod is writable
 * here already.
 */
export function sandboxMounts(input: {
  readonly shmPath: string;
  readonly resolvConfPath: string;
  readonly hostSys: boolean;
  readonly privileged: boolean;
}): OciMount[] {
  const defaults = defaultMounts().filter(({ destination }) => destination !== '/dev/shm');
  const sysOf = (mount: OciMount): OciMount => {
    if (input.hostSys) return HOST_SYS_MOUNT;
    return input.privileged ? writable(mount) : mount;
  };
  // With a user namespace a remount without these flags fails with EPERM.
  const options = ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'];
  return [
    ...defaults.map((mount) => (mount.destination === '/sys' ? sysOf(mount) : mount)),
    { destination: '/dev/shm', type: 'bind', source: input.shmPath, options },
    { destination: '/etc/resolv.conf', type: 'bind', source: input.resolvConfPath, options },
  ];
}

function systemMounts(input: ContainerMountsInput): OciMount[] {
  const mounts = (input.base ?? defaultMounts()).filter(({ destination }) => destination !== '/run');
  const cgroup: OciMount = {
    destination: '/sys/fs/cgroup',
    type: 'cgroup',
    source: 'cgroup',
    options: ['nosuid', 'noexec', 'nodev', 'relatime', input.cgroupWritable ? 'rw' : 'ro', ...input.cgroupOptions],
  };
  const withCgroup = [...mounts.filter(({ destination }) => destination !== '/sys/fs/cgroup'), cgroup];
  return withCgroup.map((mount) => {
    if (mount.type === 'sysfs' && input.hostSys) return HOST_SYS_MOUNT;
    return input.privileged && (mount.type === 'sysfs' || mount.type === 'cgroup') ? writable(mount) : mount;
  });
}

const writable = (mount: OciMount): OciMount => ({
  ...mount,
  options: (mount.options ?? []).map((option) => (option === 'ro' ? 'rw' : option)),
});

/** Returns the mounts of a sandbox controller, of the pod's files and of the image's volumes. */
function extraMounts(input: ContainerMountsInput): OciMount[] {
  const { controllerMounts = [], podMounts, volumes, readonlyRootfs, userNamespace } = input;
  const given = new Set(controllerMounts.map(({ destination }) => cleanPath(destination)));
  const bind = (destination: string, source: string, readonly: boolean, mapped: boolean): OciMount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', readonly ? 'ro' : 'rw'],
    ...(mapped && userNamespace && { uidMappings: userNamespace.uids, gidMappings: userNamespace.gids }),
  });
  const files = [
    ['/etc/hostname', podMounts.hostname],
    ['/etc/hosts', podMounts.hosts],
    ['/etc/resolv.conf', podMounts.resolvConf],
  ] as const;
  const ofPod = [
    ...files.flatMap(([path, source]) => (source ? [bind(path, source, readonlyRootfs, true)] : [])),
    // No id mappings: tmpfs does not support them before Linux 6.3, and the pod's shm belongs to the pod's root anyway.
    ...(podMounts.shm === '' ? [] : [bind('/dev/shm', podMounts.shm, false, false)]),
  ];
  return [
    ...controllerMounts,
    ...ofPod.filter(({ destination }) => !given.has(destination)),
    ...volumes.map(({ containerPath, hostPath }) => bind(fromRoot(containerPath), hostPath, false, true)),
  ];
}

function requestedMount(mount: ResolvedMount, input: ContainerMountsInput): OciMount {
  const mapped = mount.kind === 'bind';
  return {
    destination: mount.containerPath,
    type: 'bind',
    source: mount.hostPath,
    options: ['rbind', mount.propagation, accessOption(mount, input.recursiveReadOnlySupported), ...mount.options],
    // An image's snapshot maps the ids of its files, so the bind mount does not.
    ...(mapped && mount.uidMappings.length > 0 && { uidMappings: mount.uidMappings.map(ociMapping) }),
    ...(mapped && mount.gidMappings.length > 0 && { gidMappings: mount.gidMappings.map(ociMapping) }),
  };
}

function accessOption(mount: ResolvedMount, supported: boolean): string {
  if (!mount.recursiveReadonly) return mount.readonly || mount.kind === 'image' ? 'ro' : 'rw';
  const field = `config.mounts[${mount.containerPath}].recursive_read_only`;
  if (!mount.readonly) throw invalidArgument(field, 'the mount is not readonly');
  if (mount.propagation !== 'rprivate') throw invalidArgument(field, 'needs private propagation');
  if (!supported) throw invalidArgument(field, 'the runtime handler does not support recursive read-only mounts');
  return 'rro';
}

function rootfsPropagation(mounts: readonly ResolvedMount[]): 'rshared' | 'rslave' | undefined {
  if (mounts.some(({ propagation }) => propagation === 'rshared')) return 'rshared';
  if (mounts.some(({ propagation }) => propagation === 'rslave')) return 'rslave';
  return undefined;
}
