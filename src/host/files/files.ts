import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { access, chmod, mkdir, open, readdir, realpath, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { isWithin, readMountInfo } from '../mount/mountinfo.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';
import { runTreeJob } from '../trees/tree-threads.js';

/**
 * Makes a directory and its missing parents, each with exactly `mode`, whatever the umask. Also sets `mode` of an
 * existing directory.
 */
export async function ensureDirectory(path: string, mode = 0o700): Promise<void> {
  await translated(path, async () => {
    const first = await mkdir(path, { recursive: true, mode });
    for (const directory of notExact(path, first, mode)) await chmod(directory, mode);
  });
}

/** As `ensureDirectory`, on this thread: for a directory on a tmpfs, which never waits for a disk. */
export function ensureDirectoryNow(path: string, mode = 0o700): void {
  try {
    const first = mkdirSync(path, { recursive: true, mode });
    for (const directory of notExact(path, first, mode)) chmodSync(directory, mode);
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}

/** The bits that the kernel takes from the mode of each new file. */
const UMASK = process.umask();

/** Whether a new file with this mode gets exactly this mode. */
const isKept = (mode: number): boolean => (mode & UMASK) === 0;

/** Returns the directories whose mode is to be set. `first`: the first one that was made, undefined for none. */
function notExact(path: string, first: string | undefined, mode: number): string[] {
  if (first === undefined) return [path];
  if (isKept(mode)) return [];
  const all = [path];
  for (let made = dirname(path); made.length >= first.length; made = dirname(made)) all.push(made);
  return all;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Replaces a whole file: a reader, or a restart after a kill, sees either the old content or the new; with `sync`, a
 * restart after a power cut too. A kill may leave a file beside it, `.crid-` and a number.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  {
    mode = 0o600,
    sync = true,
    owner,
  }: { readonly mode?: number; readonly sync?: boolean; readonly owner?: Owner } = {},
): Promise<void> {
  const temporary = join(dirname(path), `.crid-${randomBytes(6).toString('hex')}`);
  await translated(path, async () => {
    const file = await open(temporary, 'wx', mode);
    try {
      // chown(2) may clear bits of the mode.
      if (owner) await file.chown(owner.uid, owner.gid);
      if (owner || !isKept(mode)) await file.chmod(mode);
      await file.writeFile(data);
      if (sync) await file.datasync();
      await file.close();
      await rename(temporary, path);
    } catch (thrown) {
      await file.close().catch(() => undefined);
      await rm(temporary, { force: true });
      throw thrown;
    }
  });
}

/** Whether a file exists at the path; false also when the path cannot be looked up. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Returns the names in a directory; none when it is missing. */
export const namesIn = (path: string): Promise<string[]> =>
  translated(path, () =>
    readdir(path).catch((thrown: unknown) => {
      if (errnoName(thrown) !== 'ENOENT') throw thrown;
      return [];
    }),
  );

/** Removes a file that is not a directory. Succeeds when it is gone. */
export const removeFile = (path: string): Promise<void> =>
  translated(path, () =>
    unlink(path).catch((thrown: unknown) => {
      if (errnoName(thrown) !== 'ENOENT') throw thrown;
    }),
  );

/** Renames a file within its directory, and replaces the file that has the new name. */
export const renameFile = (from: string, to: string): Promise<void> => translated(to, () => rename(from, to));

/**
 * Removes files or directories with their content, on another thread; links are removed, not followed. Succeeds when
 * they are gone; a repeat continues an aborted or failed removal. It unmounts nothing: FAILED_PRECONDITION, with the
 * mount point, when something is mounted at or below one of the paths, and then it removes only empty directories.
 */
export async function removeTree(paths: string | readonly string[], signal?: AbortSignal): Promise<void> {
  const all = [paths].flat();
  const gone = await Promise.all(all.map(removeEmpty));
  const rest = all.filter((_, index) => !gone[index]);
  if (rest.length === 0) return;
  const found = await Promise.all(rest.map(async (path) => ({ path, real: await withRealParent(path) })));
  const mounts = await readMountInfo();
  for (const { path, real } of found) {
    const mounted = mounts.find(({ mountPoint }) => real !== undefined && isWithin(mountPoint, real));
    if (mounted === undefined) continue;
    throw new CriError('FAILED_PRECONDITION', `remove ${path}: ${mounted.fstype} is mounted at ${mounted.mountPoint}`);
  }
  await Promise.all(
    found.map(async ({ real }) => {
      if (real !== undefined) await runTreeJob({ kind: 'remove', path: real }, signal);
    }),
  );
}

/** Returns whether the path is gone. rmdir(2) fails for a directory with content, a mount point and a non-directory. */
export const removeEmpty = (path: string): Promise<boolean> =>
  rmdir(path).then(
    () => true,
    (thrown: unknown) => errnoName(thrown) === 'ENOENT',
  );

/** Returns the path with the links in its parent resolved; undefined when the parent is gone. */
async function withRealParent(path: string): Promise<string | undefined> {
  try {
    return join(await realpath(dirname(path)), basename(path));
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return undefined;
    throw fsError(thrown, path);
  }
}
