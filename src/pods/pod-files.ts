import { chmod, readFile, writeFile } from 'node:fs/promises';
import type { PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { allEnded } from '../base/all-ended.js';
import { translated } from '../host/syscall/errno.js';
import { isMountPoint, mountTmpfs, unmount } from '../host/mount/mount-calls.js';
import { unpinAll } from '../host/namespace/pin-namespaces.js';
import { hostIds } from '../spec/user/user-namespace.js';
import { ensureDirectory, removeTree } from '../host/files/files.js';
import type { Directories } from '../state/directories.js';
import { podFiles, podUserNamespace, usesHostIpc } from '../state/pod-view.js';

const SHM_BYTES = 64 * 1024 * 1024;
const READABLE = 0o644;

/**
 * Writes hostname, hosts and resolv.conf, and mounts /dev/shm of the pod (64 MiB, the default of Docker and
 * containerd).
 */
export async function makePodFiles(directories: Directories, id: string, config: PodSandboxConfig): Promise<void> {
  const files = podFiles(directories, id, config);
  await allEnded([ensureDirectory(directories.podRoot(id), 0o700), ensureDirectory(directories.podState(id), 0o700)]);
  await allEnded([
    writeReadable(files.hostnamePath, `${files.hostname}\n`),
    copyHostFile('/etc/hosts', files.hostsPath),
    config.dns_config
      ? writeReadable(files.resolvConfPath, resolvConf(config.dns_config))
      : copyHostFile('/etc/resolv.conf', files.resolvConfPath),
    usesHostIpc(config) ? Promise.resolve() : mountShm(files.shmPath, config),
  ]);
}

async function mountShm(path: string, config: PodSandboxConfig): Promise<void> {
  await ensureDirectory(path, 0o700);
  const userNamespace = podUserNamespace(config);
  const owner = userNamespace && hostIds(userNamespace, { uid: 0, gid: 0 });
  await mountTmpfs(path, { sizeBytes: SHM_BYTES, mode: 0o1777, owner });
}

/** Unmounts /dev/shm and the pinned namespaces; the files stay for the pod's status until it is removed. */
export async function unmountPodFiles(directories: Directories, id: string): Promise<void> {
  const path = directories.podShm(id);
  if (await isMountPoint(path)) await unmount(path, { detach: false });
  await unpinAll(directories.podNamespaces(id));
}

export async function removePodFiles(directories: Directories, id: string, signal?: AbortSignal): Promise<void> {
  await unmountPodFiles(directories, id);
  await removeTree([directories.podRoot(id), directories.podState(id)], signal);
}

/** Returns the resolv.conf(5) of a CRI DNSConfig: searches, servers and options, as far as they are given. */
export function resolvConf(dns: {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}): string {
  const lines = [
    ...(dns.searches.length > 0 ? [`search ${dns.searches.join(' ')}`] : []),
    ...dns.servers.map((server) => `nameserver ${server}`),
    ...(dns.options.length > 0 ? [`options ${dns.options.join(' ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

async function copyHostFile(source: string, target: string): Promise<void> {
  const content = await readFile(source).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  await writeReadable(target, content);
}

/**
 * Writes a file that all users of the pod can read. Not synced: a pod that a power cut has interrupted is undone with
 * its files.
 */
async function writeReadable(path: string, content: string | Uint8Array): Promise<void> {
  await translated(path, async () => {
    await writeFile(path, content, { mode: READABLE });
    await chmod(path, READABLE);
  });
}
