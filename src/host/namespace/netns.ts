import { stat, unlink } from 'node:fs/promises';
import { unmount } from '../mount/mount-calls.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';
import { inNamespaces, ownNamespace } from './thread-namespaces.js';

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

/** Returns whether a namespace is mounted at `path`: false for a plain file and for a missing path. */
export const netnsIsOpen = async (path: string): Promise<boolean> => (await netnsInode(path)) !== undefined;

/** Returns the namespace's inode number, as in `net:[4026531840]`; undefined when there is none at `path`. */
export async function netnsInode(path: string): Promise<number | undefined> {
  try {
    const [at, home] = await Promise.all([stat(path), stat(ownNamespace('net'))]);
    // All namespaces are on the same nsfs.
    return at.dev === home.dev ? at.ino : undefined;
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return undefined;
    throw fsError(thrown, path);
  }
}

/**
 * Runs `work` in the network namespace at `path`, on this thread (see `inNamespaces`). NOT_FOUND when there is no
 * namespace at `path`.
 */
export const inNetns = <T>(path: string, work: () => T): T => inNamespaces({ net: path }, work);

const MAX_STACKED = 16;
