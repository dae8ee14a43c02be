import { NamespaceMode, type LinuxSandboxSecurityContext } from '../../generated/runtime/v1/api.js';
import { passedAnnotations, sandboxAnnotations } from './annotations.js';
import { pauseArgs, workingDirectory } from './args.js';
import { OCI_VERSION, ROOTFS_PATH } from './base-spec.js';
import { cgroupsPath } from './cgroup-path.js';
import { DENY_ALL } from './devices.js';
import { DEFAULT_PATH, mergedEnv } from './env.js';
import { MASKED_PATHS, READONLY_PATHS } from './mounts/default-mounts.js';
import { sandboxMounts } from './mounts/spec-mounts.js';
import type { OciLinux, OciProcess, OciSpec } from './oci.js';
import { oomScoreAdj, PAUSE_OOM_SCORE_ADJ } from './oom-score.js';
import { PAUSE_CPU_SHARES } from './resources.js';
import { defaultCapabilities } from './security/capabilities.js';
import { containerSeccomp, seccompRequest } from './security/seccomp.js';
import { sandboxNamespaces } from './spec-namespaces.js';
import { sandboxSysctls } from './sysctls.js';
import type { SandboxSpecInput } from './types.js';
import { userNamespaceMappings, type UserNamespaceMappings } from './user/user-namespace.js';

/**
 * Builds the OCI spec of the pause container, whose namespaces are the pod's. It runs the command of its image on a
 * read-only root, with no_new_privs and minimal CPU shares. INVALID_ARGUMENT names the invalid field.
 */
export function buildSandboxSpec(input: SandboxSpecInput): OciSpec {
  const context = input.pod.linux?.security_context;
  const facts: Facts = {
    context,
    hostNetwork: context?.namespace_options?.network === NamespaceMode.NODE,
    userNamespace: userNamespaceMappings(context?.namespace_options?.userns_options, USERNS_FIELD),
  };
  return {
    ociVersion: OCI_VERSION,
    process: processOf(input),
    root: { path: ROOTFS_PATH, readonly: true },
    // A host name can be set only in a private UTS namespace.
    ...(!facts.hostNetwork && input.hostname !== '' && { hostname: input.hostname }),
    mounts: sandboxMounts({
      shmPath: input.shmPath,
      resolvConfPath: input.resolvConfPath,
      hostSys: facts.hostNetwork && facts.userNamespace !== undefined,
      privileged: context?.privileged ?? false,
    }),
    annotations: sandboxAnnotations({
      podId: input.id,
      pod: input.pod,
      imageName: input.imageName,
      passed: passedAnnotations(input.pod.annotations, input.handler.podAnnotations),
    }),
    linux: linuxOf(input, facts),
  };
}

const USERNS_FIELD = 'config.linux.security_context.namespace_options.userns_options';

interface Facts {
  readonly context: LinuxSandboxSecurityContext | undefined;
  readonly hostNetwork: boolean;
  readonly userNamespace: UserNamespaceMappings | undefined;
}

function processOf(input: SandboxSpecInput): OciProcess {
  const { image, user, host, options } = input;
  const privileged = input.pod.linux?.security_context?.privileged ?? false;
  const label = privileged ? '' : (input.selinux?.processLabel ?? '');
  return {
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    args: pauseArgs(image, input.imageName),
    env: mergedEnv([`PATH=${DEFAULT_PATH}`, ...(image.config?.Env ?? [])]),
    cwd: workingDirectory('', image),
    capabilities: defaultCapabilities(),
    noNewPrivileges: true,
    oomScoreAdj: oomScoreAdj(PAUSE_OOM_SCORE_ADJ, host, options),
    ...(label && { selinuxLabel: label }),
  };
}

function linuxOf(input: SandboxSpecInput, { context, hostNetwork, userNamespace }: Facts): OciLinux {
  const { pod, host, options, handler } = input;
  const seccomp = containerSeccomp(seccompRequest(context, host, options), {
    capabilities: defaultCapabilities().bounding ?? [],
    machine: host.machine,
    profiles: input.seccompProfiles,
  });
  const sysctl = sandboxSysctls({
    requested: pod.linux?.sysctls ?? {},
    hostNetwork,
    userNamespace: userNamespace !== undefined,
    options,
    host,
  });
  const mountLabel = input.selinux?.mountLabel ?? '';
  return {
    ...(userNamespace && { uidMappings: userNamespace.uids, gidMappings: userNamespace.gids }),
    ...(Object.keys(sysctl).length > 0 && { sysctl }),
    resources: { devices: [DENY_ALL], cpu: { shares: PAUSE_CPU_SHARES } },
    cgroupsPath: cgroupsPath(pod.linux?.cgroup_parent ?? '', input.id, {
      driver: handler.cgroupDriver,
      namespace: options.namespace,
    }),
    namespaces: sandboxNamespaces({
      options: context?.namespace_options,
      netnsPath: input.netnsPath,
      userNamespace: userNamespace !== undefined,
      usernsPath: input.usernsPath,
    }),
    ...(seccomp && { seccomp }),
    maskedPaths: [...MASKED_PATHS],
    readonlyPaths: [...READONLY_PATHS],
    ...(mountLabel && { mountLabel }),
  };
}
