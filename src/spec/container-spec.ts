import type { LinuxContainerSecurityContext } from '../../generated/runtime/v1/api.js';
import { NamespaceMode } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import { containerAnnotations, passedAnnotations } from './annotations.js';
import { containerArgs, workingDirectory } from './args.js';
import { baseSpec } from './base-spec.js';
import { withCdiEdits } from './cdi/cdi.js';
import { cgroupsPath } from './cgroup-path.js';
import { cgroupView, type CgroupView } from './cgroup-view.js';
import { containerDevices } from './devices.js';
import { containerEnv } from './env.js';
import { containerMounts, type ContainerMounts } from './mounts/spec-mounts.js';
import type { OciLinux, OciProcess, OciSpec } from './oci.js';
import { oomScoreAdj } from './oom-score.js';
import { withResources } from './resources.js';
import { appArmorNeed, type AppArmorNeed } from './security/apparmor-need.js';
import { containerCapabilities } from './security/capabilities.js';
import { containerSeccomp, seccompRequest } from './security/seccomp.js';
import { containerNamespaces } from './spec-namespaces.js';
import type { ContainerSpecInput, HostFacts, SpecOptions } from './types.js';
import { checkSameUserNamespace, userNamespaceMappings, type UserNamespaceMappings } from './user/user-namespace.js';

/**
 * Builds the OCI spec of a container from its request, its pod, its image and what the caller knows about the host and
 * the rootfs. INVALID_ARGUMENT names the invalid field; FAILED_PRECONDITION names what the host lacks.
 */
export function buildContainerSpec(input: ContainerSpecInput): OciSpec {
  const context = input.config.linux?.security_context;
  const podContext = input.pod.linux?.security_context;
  const namespaceOptions = context?.namespace_options;
  checkPrivileged(context?.privileged ?? false, podContext?.privileged ?? false);
  checkSameUserNamespace(podContext?.namespace_options, namespaceOptions);
  const privileged = context?.privileged ?? false;
  const facts: Facts = {
    context,
    privileged,
    cgroups: cgroupView(context, privileged, input.handler, input.host),
    base: baseSpec(input.handler.baseSpec),
    userNamespace: userNamespaceMappings(namespaceOptions?.userns_options, USERNS_FIELD),
  };
  const mounts = mountsOf(input, facts);
  const process = processOf(input, facts);
  const spec: OciSpec = {
    ...facts.base,
    process,
    root: { ...facts.base.root, ...(context?.readonly_rootfs && { readonly: true }) },
    mounts: mounts.mounts,
    annotations: annotationsOf(input, facts),
    linux: linuxOf(input, facts, mounts, process),
  };
  return withCdiEdits(spec, input.cdi ?? []);
}

/** The AppArmor profile that must be in the kernel before the container starts; see `appArmorNeed`. */
export const containerAppArmor = (
  context: LinuxContainerSecurityContext | undefined,
  host: HostFacts,
  options: SpecOptions,
): AppArmorNeed =>
  appArmorNeed({
    profile: context?.apparmor,
    legacy: context?.apparmor_profile ?? '',
    privileged: context?.privileged ?? false,
    enabled: host.apparmor && !options.disableApparmor,
  });

const USERNS_FIELD = 'config.linux.security_context.namespace_options.userns_options';

interface Facts {
  readonly context: LinuxContainerSecurityContext | undefined;
  readonly privileged: boolean;
  readonly cgroups: CgroupView;
  readonly base: OciSpec;
  readonly userNamespace: UserNamespaceMappings | undefined;
}

function checkPrivileged(container: boolean, pod: boolean): void {
  if (container && !pod) {
    throw invalidArgument('config.linux.security_context.privileged', 'the pod is not privileged');
  }
}

function processOf(input: ContainerSpecInput, { context, privileged, base }: Facts): OciProcess {
  const { config, image, host, options, user } = input;
  const resources = config.linux?.resources;
  const appArmor = containerAppArmor(context, host, options);
  const { terminal: _terminal, noNewPrivileges: _noNewPrivileges, apparmorProfile, ...process } = base.process;
  const profile = appArmor.kind !== 'none' ? appArmor.name : keepsBaseProfile(context, privileged) && apparmorProfile;
  const label = privileged ? '' : (input.selinux?.processLabel ?? '');
  return {
    ...process,
    ...(config.tty && { terminal: true }),
    user: { ...process.user, uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    args: containerArgs(config, image),
    env: containerEnv({ config, image, hostname: input.pod.hostname || host.hostname, base: process.env }),
    cwd: workingDirectory(config.working_dir, image),
    capabilities: containerCapabilities({
      requested: context?.capabilities,
      privileged,
      grantable: host.capabilities,
      base: base.process.capabilities,
    }),
    ...(context?.no_new_privs && { noNewPrivileges: true }),
    ...(profile && { apparmorProfile: profile }),
    ...(label && { selinuxLabel: label }),
    ...(resources && { oomScoreAdj: oomScoreAdj(resources.oom_score_adj, host, options) }),
  };
}

/** Only an unprivileged container that requests no AppArmor profile keeps the profile of the base spec. */
const keepsBaseProfile = (context: LinuxContainerSecurityContext | undefined, privileged: boolean): boolean =>
  !privileged && context?.apparmor === undefined && !context?.apparmor_profile;

function mountsOf(input: ContainerSpecInput, facts: Facts): ContainerMounts {
  const { context, privileged, cgroups, base, userNamespace } = facts;
  const { handler, host } = input;
  const hostNetwork = input.pod.linux?.security_context?.namespace_options?.network === NamespaceMode.NODE;
  return containerMounts({
    requested: input.mounts,
    podMounts: input.podMounts,
    controllerMounts: input.controllerSpec?.mounts,
    volumes: input.volumes,
    readonlyRootfs: context?.readonly_rootfs ?? false,
    privileged,
    cgroupWritable: cgroups.writable,
    cgroupOptions: cgroups.namespace === 'private' ? [] : host.cgroupMountOptions,
    userNamespace,
    hostSys: hostNetwork && userNamespace !== undefined,
    recursiveReadOnlySupported: handler.recursiveReadOnlyMounts,
    base: base.mounts,
  });
}

function linuxOf(input: ContainerSpecInput, facts: Facts, mounts: ContainerMounts, process: OciProcess): OciLinux {
  const { config, pod, host, handler, options } = input;
  const { context, base, userNamespace } = facts;
  const { devices: _rules, ...baseResources } = base.linux.resources;
  const { devices, rules } = devicesOf(input, facts);
  const { seccomp: _seccomp, devices: _devices, maskedPaths: _masked, readonlyPaths: _readonly, ...linux } = base.linux;
  const seccomp = containerSeccomp(seccompRequest(context, host, options), {
    capabilities: process.capabilities?.bounding ?? [],
    machine: host.machine,
    profiles: input.seccompProfiles,
    base: base.linux.seccomp,
  });
  const mountLabel = input.selinux?.mountLabel ?? '';
  return {
    ...linux,
    ...(userNamespace && { uidMappings: userNamespace.uids, gidMappings: userNamespace.gids }),
    resources: { ...withResources(baseResources, config.linux?.resources, host, options), devices: rules },
    cgroupsPath: cgroupsPath(pod.linux?.cgroup_parent ?? '', input.id, {
      driver: handler.cgroupDriver,
      namespace: options.namespace,
    }),
    namespaces: containerNamespaces({
      options: context?.namespace_options,
      podOptions: input.pod.linux?.security_context?.namespace_options,
      podPid: input.podPid,
      given: input.controllerSpec?.namespaces,
      targetPid: input.targetPid,
      userNamespace: userNamespace !== undefined,
      cgroup: facts.cgroups.namespace,
      ...(base.linux.namespaces.length > 0 && { base: base.linux.namespaces }),
    }),
    ...(devices.length > 0 && { devices }),
    ...(seccomp && { seccomp }),
    ...(mounts.rootfsPropagation && { rootfsPropagation: mounts.rootfsPropagation }),
    ...procPaths(input, facts),
    ...(mountLabel && { mountLabel }),
  };
}

function devicesOf(
  input: ContainerSpecInput,
  { context, privileged, base }: Facts,
): ReturnType<typeof containerDevices> {
  const { handler, options } = input;
  return containerDevices({
    requested: input.devices,
    hostDevices: input.privilegedDevices,
    privileged,
    withoutHostDevices: handler.privilegedWithoutHostDevices,
    allDevicesAllowed: handler.privilegedWithoutHostDevicesAllDevicesAllowed,
    owner: options.deviceOwnershipFromSecurityContext
      ? { uid: context?.run_as_user, gid: context?.run_as_group }
      : undefined,
    baseRules: base.linux.resources.devices,
    baseDevices: base.linux.devices,
  });
}

/** Returns the request's lists, or the base spec's with `disable_proc_mount`. A privileged container has neither. */
function procPaths(input: ContainerSpecInput, { context, privileged, base }: Facts): Partial<OciLinux> {
  if (privileged) return {};
  const { disableProcMount } = input.options;
  const masked = disableProcMount ? (base.linux.maskedPaths ?? []) : (context?.masked_paths ?? []);
  const readonly = disableProcMount ? (base.linux.readonlyPaths ?? []) : (context?.readonly_paths ?? []);
  return {
    ...(masked.length > 0 && { maskedPaths: [...masked] }),
    ...(readonly.length > 0 && { readonlyPaths: [...readonly] }),
  };
}

const annotationsOf = (input: ContainerSpecInput, { base }: Facts): Record<string, string> => ({
  ...base.annotations,
  ...containerAnnotations({
    podId: input.podId,
    pod: input.pod,
    containerName: input.config.metadata?.name ?? '',
    imageName: input.imageName,
    passed: {
      ...passedAnnotations(input.pod.annotations, input.handler.podAnnotations),
      ...passedAnnotations(input.config.annotations, input.handler.containerAnnotations),
    },
  }),
});
