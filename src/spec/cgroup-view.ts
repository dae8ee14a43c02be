import {
  CgroupMountMode,
  NamespaceMode,
  type LinuxContainerSecurityContext,
  type NamespaceOption,
} from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { HostFacts, SpecHandlerOptions } from './types.js';
import { checkEnum } from './validate/text-checks.js';

/** The cgroups as a container sees them (CRI v0.38 beta: `cgroupns_options` and `cgroup_mount_mode`). */
export interface CgroupView {
  /** `base`: what the base spec has; without a base spec, the node's. */
  readonly namespace: 'private' | 'node' | 'base';
  readonly writable: boolean;
}

/**
 * Returns a container's cgroup namespace and whether its cgroup mount is writable. By default an unprivileged container
 * on cgroup v2 has a namespace of its own; a privileged container's mount is always writable. FAILED_PRECONDITION: the
 * node or the handler cannot do what the request says.
 */
export function cgroupView(
  context: Pick<LinuxContainerSecurityContext, 'namespace_options' | 'cgroup_mount_mode'> | undefined,
  privileged: boolean,
  handler: Pick<SpecHandlerOptions, 'cgroupNamespaces' | 'cgroupWritable'>,
  host: Pick<HostFacts, 'cgroupVersion' | 'cgroupMountOptions'>,
): CgroupView {
  const asked = context?.namespace_options?.cgroupns_options?.mode;
  if (asked !== undefined && !handler.cgroupNamespaces) {
    throw refused(MODE_FIELD, 'the runtime handler does not support cgroup namespaces');
  }
  const mount = context?.cgroup_mount_mode ?? CGROUP_MOUNT_MODE_UNSPECIFIED;
  if (mount === CGROUP_MOUNT_MODE_READ_WRITE && !delegatesCgroups(host)) {
    throw refused(MOUNT_FIELD, 'READ_WRITE needs cgroup v2 with the mount option nsdelegate');
  }
  const namespace = namespaceOf(asked, host.cgroupVersion === 2 && !privileged);
  const byHandler = handler.cgroupWritable && mount === CGROUP_MOUNT_MODE_UNSPECIFIED;
  // On v1 the runtime binds only the container's own cgroups. On v2 all cgroups of the node would be writable.
  if (byHandler && asked === NamespaceMode.NODE && !privileged && host.cgroupVersion === 2) {
    throw refused(MODE_FIELD, 'NODE with the cgroup_writable of the runtime handler needs a privileged container');
  }
  return { namespace, writable: privileged || byHandler || mount === CGROUP_MOUNT_MODE_READ_WRITE };
}

/** Whether a cgroup namespace is a boundary of delegation (cgroups(7)), so that a writable mount cannot lift limits. */
export const delegatesCgroups = (host: Pick<HostFacts, 'cgroupVersion' | 'cgroupMountOptions'>): boolean =>
  host.cgroupVersion === 2 && host.cgroupMountOptions.includes('nsdelegate');

/** INVALID_ARGUMENT for modes that the enums do not have, that CRI excludes, or that contradict each other. */
export function checkCgroupView(
  context: Pick<LinuxContainerSecurityContext, 'namespace_options' | 'cgroup_mount_mode' | 'privileged'>,
  field: string,
): void {
  const { privileged, cgroup_mount_mode: mount } = context;
  checkCgroupNamespace(context.namespace_options, `${field}.namespace_options`);
  checkEnum(mount, CgroupMountMode, `${field}.cgroup_mount_mode`);
  if (mount === CGROUP_MOUNT_MODE_READ_ONLY && privileged) {
    throw invalidArgument(`${field}.cgroup_mount_mode`, "READ_ONLY, but a privileged container's cgroups are writable");
  }
  const namespace = context.namespace_options?.cgroupns_options?.mode;
  if (mount === CGROUP_MOUNT_MODE_READ_WRITE && namespace === NamespaceMode.NODE && !privileged) {
    throw invalidArgument(
      `${field}.cgroup_mount_mode`,
      "READ_WRITE in the node's cgroup namespace needs a privileged container",
    );
  }
}

function checkCgroupNamespace(options: NamespaceOption | undefined, field: string): void {
  if (options?.cgroupns_options === undefined) return;
  const { mode } = options.cgroupns_options;
  const where = `${field}.cgroupns_options.mode`;
  checkEnum(mode, NamespaceMode, where);
  if (mode !== NamespaceMode.CONTAINER && mode !== NamespaceMode.NODE) {
    throw invalidArgument(where, `expected CONTAINER or NODE, received ${NamespaceMode[mode]}`);
  }
}

const { CGROUP_MOUNT_MODE_UNSPECIFIED, CGROUP_MOUNT_MODE_READ_ONLY, CGROUP_MOUNT_MODE_READ_WRITE } = CgroupMountMode;
const CONTEXT_FIELD = 'config.linux.security_context';
const MODE_FIELD = `${CONTEXT_FIELD}.namespace_options.cgroupns_options.mode`;
const MOUNT_FIELD = `${CONTEXT_FIELD}.cgroup_mount_mode`;

function namespaceOf(asked: NamespaceMode | undefined, isPrivateByDefault: boolean): CgroupView['namespace'] {
  if (asked === NamespaceMode.NODE) return 'node';
  return asked === NamespaceMode.CONTAINER || isPrivateByDefault ? 'private' : 'base';
}

const refused = (field: string, problem: string): CriError =>
  new CriError('FAILED_PRECONDITION', `${field}: ${problem}`);
