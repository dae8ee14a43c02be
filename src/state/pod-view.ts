import { hostname as hostHostname } from 'node:os';
import { join } from 'node:path';
import { NamespaceMode, type PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import type { Any } from '../containerd/containerd.js';
import { userNamespaceMappings, type UserNamespaceMappings } from '../spec/user/user-namespace.js';
import { controllerSpec, type ControllerSpec } from '../spec/controller-spec.js';
import type { NamespacePaths } from '../host/namespace/pin-namespaces.js';
import type { Directories } from './directories.js';
import type { Pod } from './records.js';

/** Values that follow from a pod's config and id alone, for the modules of pods and containers. */

/** The files that all containers of a pod share; `shmPath` is /dev/shm when the pod uses the host's IPC namespace. */
export interface PodFiles {
  readonly hostname: string;
  readonly hostnamePath: string;
  readonly hostsPath: string;
  readonly resolvConfPath: string;
  readonly shmPath: string;
}

export const usesHostIpc = (config: PodSandboxConfig): boolean =>
  config.linux?.security_context?.namespace_options?.ipc === NamespaceMode.NODE;

export const usesHostNetwork = (config: PodSandboxConfig): boolean =>
  config.linux?.security_context?.namespace_options?.network === NamespaceMode.NODE;

/** Whether the containers of the pod share a process namespace of its own, the default of the CRI. */
export const sharesPids = (config: PodSandboxConfig): boolean =>
  (config.linux?.security_context?.namespace_options?.pid ?? NamespaceMode.POD) === NamespaceMode.POD;

/** Returns the id mappings of a pod that has its own user namespace, else undefined. */
export const podUserNamespace = (config: PodSandboxConfig): UserNamespaceMappings | undefined =>
  userNamespaceMappings(
    config.linux?.security_context?.namespace_options?.userns_options,
    'config.linux.security_context.namespace_options.userns_options',
  );

export function podFiles(directories: Directories, id: string, config: PodSandboxConfig): PodFiles {
  const root = directories.podRoot(id);
  return {
    hostname: config.hostname || hostHostname(),
    hostnamePath: join(root, 'hostname'),
    hostsPath: join(root, 'hosts'),
    resolvConfPath: join(root, 'resolv.conf'),
    shmPath: usesHostIpc(config) ? '/dev/shm' : directories.podShm(id),
  };
}

/** The sandboxer of pods with a pause container, in a handler's configuration. */
export const PAUSE = 'pause';
/** The sandboxer of pods without a sandbox process, in a handler's configuration and in a pod's record. */
export const PINNED = 'pinned';

/** Whether the name is that of a sandbox controller of containerd's. */
export const namesController = (sandboxer: string): boolean => sandboxer !== PAUSE && sandboxer !== PINNED;

export const isPinned = ({ sandboxer }: Pick<Pod, 'sandboxer'>): boolean => sandboxer === PINNED;

/** Whether a sandbox controller of containerd's runs the pod, perhaps on a kernel of its own. */
export const hasController = ({ sandboxer }: Pick<Pod, 'sandboxer'>): boolean =>
  sandboxer !== undefined && namesController(sandboxer);

/** Returns the paths of the namespaces that a pod without a sandbox process has of its own. */
export function pinnedNamespaces(
  directories: Pick<Directories, 'podNamespace'>,
  { id, config, netnsPath }: Pick<Pod, 'id' | 'config' | 'netnsPath'>,
): NamespacePaths {
  return {
    ...(podUserNamespace(config) && { user: directories.podNamespace(id, 'user') }),
    // A pod on the host's network also uses the host's UTS namespace.
    ...(netnsPath !== '' && { net: netnsPath, uts: directories.podNamespace(id, 'uts') }),
    ...(!usesHostIpc(config) && { ipc: directories.podNamespace(id, 'ipc') }),
  };
}

/** Returns what the pod's sandbox controller requires of containers; undefined when it returned no spec. */
export function controllerSpecOf({ sandboxSpec, sandboxer }: Pod): ControllerSpec | undefined {
  if (!sandboxSpec) return undefined;
  const known = parsedSpecs.get(sandboxSpec) ?? controllerSpec(sandboxSpec, `sandboxer "${sandboxer}"`);
  parsedSpecs.set(sandboxSpec, known);
  return known;
}

/** By the spec of a pod's record, which is the same object as long as the record has it. */
const parsedSpecs = new WeakMap<Any, ControllerSpec>();
