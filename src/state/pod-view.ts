import { hostname as hostHostname } from 'node:os';
import { join } from 'node:path';
import { NamespaceMode, type PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { userNamespaceMappings, type UserNamespaceMappings } from '../spec/user-namespace.js';
import type { Directories } from './directories.js';

/** What follows from a pod's config and id alone, for the rooms of pods and containers alike. */

/** The files that all containers of a pod share. Paths are "" where the pod uses the host's own. */
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

/** The id mappings of a pod with a user namespace of its own. */
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
