import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { runTreeJob } from '../trees/tree-threads.js';

/** Returns whether SELinux is on, enforcing or permissive: its file system is then mounted. */
export const selinuxEnabled = (): boolean => existsSync('/sys/fs/selinux/enforce');

/** Returns the active policy's settings for containers (`contexts/lxc_contexts`); undefined when it has none. */
export async function readSelinuxContexts(root = '/etc/selinux'): Promise<string | undefined> {
  const config = await readFile(join(root, 'config'), 'utf8').catch(() => '');
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1] ?? 'targeted';
  return readFile(join(root, policy, 'contexts', 'lxc_contexts'), 'utf8').catch(() => undefined);
}

/**
 * Sets the SELinux label of a file or a whole tree, links not followed. INVALID_ARGUMENT for a directory of the host's
 * own programs. On a file system without labels it does nothing.
 */
export async function relabelTree(path: string, label: string, field: string, signal?: AbortSignal): Promise<void> {
  if (PROTECTED.has(path))
    throw new CriError('INVALID_ARGUMENT', `${field}: "${path}" is not relabelled: it is a directory of the host`);
  await runTreeJob({ kind: 'relabel', path, label }, signal);
}

const PROTECTED = new Set(
  ['', 'bin', 'boot', 'dev', 'etc', 'home', 'lib', 'lib64', 'media', 'mnt', 'opt', 'proc', 'root', 'run', 'sbin']
    .concat(['srv', 'sys', 'tmp', 'usr', 'usr/bin', 'usr/lib', 'usr/lib64', 'usr/sbin', 'var', 'var/lib', 'var/tmp'])
    .map((name) => `/${name}`),
);
