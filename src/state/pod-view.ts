import { hostname as hostHostname } from 'node:os';
import { join } from 'node:path';
import { NamespaceMode, type PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { userNamespaceMappings, type UserNamespaceMappings } from '../spec/user/user-namespace.js';
import type { Directories } from './directories.js';

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
