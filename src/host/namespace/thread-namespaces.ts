import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { fsError } from '../syscall/errno.js';
import { call, systemCall } from '../syscall/libc.js';

/** The namespaces that one thread of a process may leave alone (setns(2), unshare(2)), as /proc/PID/ns names them. */
export type ThreadNamespace = 'net' | 'ipc' | 'uts';

// "thread-self": each thread has its own namespaces, and crid's worker threads change theirs too.
export const ownNamespace = (type: ThreadNamespace): string => `/proc/thread-self/ns/${type}`;

/**
 * Runs `work` in the namespaces at these paths, on this thread. `work` must be synchronous and must make its sockets
 * itself: calls that Node defers would run in the host's namespaces. NOT_FOUND when there is none at a path.
 */
export function inNamespaces<T>(paths: Readonly<Partial<Record<ThreadNamespace, string>>>, work: () => T): T {
  const entries = Object.entries(paths) as [ThreadNamespace, string][];
  const targets: number[] = [];
  try {
    for (const [, path] of entries) targets.push(openFd(path));
    const types = entries.map(([type]) => type);
    return away(types, () => {
      for (const [index, [type, path]] of entries.entries()) call(setns, path, targets[index], FLAGS[type]);
      return synchronous(entries.map(([, path]) => path).join(', '), work());
    });
  } finally {
    for (const fd of targets) closeSync(fd);
  }
}

/** The same in new namespaces of these types, which end with `work` unless it keeps them open. */
export function inNewNamespaces<T>(types: readonly ThreadNamespace[], subject: string, work: () => T): T {
  const flags = types.reduce((all, type) => all | FLAGS[type], 0);
  return away(types, () => {
    if (flags !== 0) call(unshare, subject, flags);
    return synchronous(subject, work());
  });
}

/** CLONE_NEWNET and the others. */
const FLAGS: Readonly<Record<ThreadNamespace, number>> = { net: 0x40000000, ipc: 0x08000000, uts: 0x04000000 };

const unshare = systemCall('unshare', ['int']);
const setns = systemCall('setns', ['int', 'int']);

function synchronous<T>(subject: string, result: T): T {
  if (result instanceof Promise) throw new CriError('INTERNAL', `namespace ${subject}: work must be synchronous`);
  return result;
}

/** Runs `work`, which may change these namespaces of the thread, and restores them in any case. */
function away<T>(types: readonly ThreadNamespace[], work: () => T): T {
  const homes: [ThreadNamespace, number][] = [];
  try {
    for (const type of types) homes.push([type, openFd(ownNamespace(type))]);
    return restoring(homes, work);
  } finally {
    for (const [, fd] of homes) closeSync(fd);
  }
}

function restoring<T>(homes: readonly (readonly [ThreadNamespace, number])[], work: () => T): T {
  try {
    return work();
  } finally {
    for (const [type, home] of homes) goHome(type, home);
  }
}

function goHome(type: ThreadNamespace, home: number): void {
  try {
    call(setns, ownNamespace(type), home, FLAGS[type]);
  } catch (thrown) {
    // Every later socket would be made in a pod's network, so only an abort is safe; a restart loses nothing.
    writeSync(2, `crid: cannot return to its own ${type} namespace: ${CriError.from(thrown).message}\n`);
    process.abort();
  }
}

function openFd(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY);
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}
