import { constants, closeSync, openSync, writeSync } from 'node:fs';
import { mkdir, open, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CriError } from '../../base/errors.js';
import { unmount } from '../mount/mount-calls.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';
import { call, systemCall } from '../syscall/libc.js';

/**
 * Makes a network namespace, kept open by a bind mount on `path`, which must not exist (ALREADY_EXISTS). Makes its
 * directory with mode 0755 when missing. Loopback stays down: the network setup brings it up. Nothing is left on
 * failure.
 */
export async function createNetns(path: string): Promise<void> {
  await translated(path, async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await (await open(path, 'wx', 0o444)).close();
  });
  try {
    away(() => {
      call(unshare, path, CLONE_NEWNET);
      call(mount, path, OWN_NETNS, path, 'none', MS_BIND, null);
    });
  } catch (thrown) {
    await removeNetns(path);
    throw thrown;
  }
}

/**
 * Unmounts the namespace and removes its file. Succeeds when it is gone, and when only the file can be reached and is
 * busy: if its directory was bind-mounted onto itself later and mounts are private, an older mount of the file is
 * hidden.
 */
export async function removeNetns(path: string): Promise<void> {
  // Several mounts are stacked on one file when its directory was bind-mounted onto itself in between (`ip netns add`
  // does so).
  for (let tries = 0; tries < MAX_STACKED && (await netnsIsOpen(path)); tries += 1)
    await unmount(path, { detach: true });
  await translated(path, async () => {
    await unlink(path).catch(async (thrown: unknown) => {
      if (errnoName(thrown) === 'EBUSY' && !(await netnsIsOpen(path))) return;
      if (errnoName(thrown) !== 'ENOENT') throw thrown;
    });
  });
}

/** Returns whether a network namespace is mounted at `path`: false for a plain file and for a missing path. */
export const netnsIsOpen = async (path: string): Promise<boolean> => (await netnsInode(path)) !== undefined;

/** Returns the namespace's inode number, as in `net:[4026531840]`; undefined when there is none at `path`. */
export async function netnsInode(path: string): Promise<number | undefined> {
  try {
    const [at, home] = await Promise.all([stat(path), stat(OWN_NETNS)]);
    // All namespaces are on the same nsfs.
    return at.dev === home.dev ? at.ino : undefined;
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return undefined;
    throw fsError(thrown, path);
  }
}

/**
 * Runs `work` in the namespace at `path`, on this thread. `work` must be synchronous and must make its sockets itself:
 * calls that Node defers would run in the host's namespace. NOT_FOUND when there is no namespace at `path`.
 */
export function inNetns<T>(path: string, work: () => T): T {
  const target = openFd(path);
  try {
    return away(() => {
      call(setns, path, target, CLONE_NEWNET);
      const result = work();
      if (result instanceof Promise) throw new CriError('INTERNAL', `netns ${path}: work must be synchronous`);
      return result;
    });
  } finally {
    closeSync(target);
  }
}

// "thread-self": each thread has its own network namespace, and crid's worker threads change theirs too.
const OWN_NETNS = '/proc/thread-self/ns/net';
const CLONE_NEWNET = 0x40000000;
const MS_BIND = 0x1000;
const MAX_STACKED = 16;

const unshare = systemCall('unshare', ['int']);
const setns = systemCall('setns', ['int', 'int']);
const mount = systemCall('mount', ['const char *', 'const char *', 'const char *', 'ulong', 'const char *']);

/** Runs `work`, which may change this thread's network namespace, and restores the namespace in any case. */
function away<T>(work: () => T): T {
  const home = openFd(OWN_NETNS);
  try {
    return work();
  } finally {
    goHome(home);
    closeSync(home);
  }
}

function goHome(home: number): void {
  try {
    call(setns, OWN_NETNS, home, CLONE_NEWNET);
  } catch (thrown) {
    // Every later socket would be made in a pod's network, so only an abort is safe; a restart loses nothing.
    writeSync(2, `crid: cannot return to its own network namespace: ${CriError.from(thrown).message}\n`);
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
