import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { normalize } from 'node:path';
import { promisify } from 'node:util';
import { CriError } from '../../base/errors.js';
import { beginWait } from '../../base/waits.js';
import { fsError } from '../syscall/errno.js';
import type { NamespacePaths } from './pin-namespaces.js';
import { inNamespaces, type ThreadNamespace } from './thread-namespaces.js';

/** A file below /proc/sys, the namespace that its value belongs to, and the text to write there. */
export interface Sysctl {
  readonly path: string;
  readonly namespace: ThreadNamespace;
  readonly value: string;
}

const LIMIT_MS = 10_000;
/** The arguments are a path and a value, and so on: no text of a request becomes a part of the script. */
const SCRIPT = 'while [ $# -gt 0 ]; do printf %s "$2" > "$1" || exit 1; shift 2; done';

/**
 * Sets sysctls inside a pod's namespaces. The kernel lets only the root of a user namespace set those of its IPC
 * namespace, and reads group ids in the writer's namespace, so that a process writes them there. INVALID_ARGUMENT for a
 * value that the kernel refuses, NOT_FOUND for a sysctl that it does not have. INTERNAL, with nothing written, for a
 * sysctl whose namespace has no path: the write would change the host's.
 */
export async function writeSysctls(paths: NamespacePaths, sysctls: readonly Sysctl[]): Promise<void> {
  for (const { path, namespace } of sysctls) {
    const isBelow = path === normalize(path) && path.startsWith('/proc/sys/');
    if (!isBelow || paths[namespace] === undefined) {
      throw new CriError('INTERNAL', `sysctl ${path}: the pod has no ${namespace} namespace of its own`);
    }
  }
  const { user, ...others } = paths;
  if (user === undefined) return inNamespaces(others, () => sysctls.forEach(write));
  const joined = Object.entries(paths).map(([type, path]) => `--${type}=${path}`);
  const values = sysctls.flatMap(({ path, value }) => [path, value]);
  const endWait = beginWait(() => 'nsenter');
  try {
    await promisify(execFile)(
      'nsenter',
      [...joined, '--setuid', '0', '--setgid', '0', 'sh', '-c', SCRIPT, 'sh', ...values],
      { timeout: LIMIT_MS, cwd: '/' },
    );
  } catch (thrown) {
    const { stderr = '', message } = thrown as Error & { stderr?: string };
    throw new CriError('INTERNAL', `sysctls: nsenter: ${stderr.trim().slice(-1024) || message}`);
  } finally {
    endWait();
  }
}

function write({ path, value }: Sysctl): void {
  try {
    writeFileSync(path, value);
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}
