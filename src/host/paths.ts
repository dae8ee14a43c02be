import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, realpath, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CriError } from '../base/errors.js';
import { errnoName, fsError, translated } from './errno.js';
import { isWithin, readMountInfo } from './mountinfo.js';
import { runTreeJob } from './trees/tree-threads.js';

/** Makes a directory and its missing parents, each with exactly `mode` whatever the umask; one that exists gets it too. */
export async function ensureDirectory(path: string, mode = 0o700): Promise<void> {
  await translated(path, async () => {
    const first = await mkdir(path, { recursive: true, mode });
    await chmod(path, mode);
    if (first === undefined) return;
    for (let made = dirname(path); made.length >= first.length; made = dirname(made)) await chmod(made, mode);
  });
}

/** Replaces a file as a whole: a reader, or a restart after a power cut, sees the old content or the new. */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  await translated(path, async () => {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.chmod(mode);
      await file.writeFile(data);
      await file.datasync();
      await file.close();
      await rename(temporary, path);
    } catch (thrown) {
      await file.close().catch(() => undefined);
      await rm(temporary, { force: true });
      throw thrown;
    }
  });
}

/** Gives a file its final name, in the same directory; what has that name is replaced. */
export const renameFile = (from: string, to: string): Promise<void> => translated(to, () => rename(from, to));

/**
 * Removes files or directories with all in them, on a thread of its own; links are removed, not followed. Succeeds when
 * they are gone; a repeat goes on where an aborted or failed removal ended. Unmounts nothing: FAILED_PRECONDITION, naming
 * the mount, when something is mounted at or below one of them, and all stay.
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

/** Whether it is gone: rmdir(2) itself leaves alone what has something in it, is a mount point, or is no directory. */
const removeEmpty = (path: string): Promise<boolean> =>
  rmdir(path).then(
    () => true,
    (thrown: unknown) => errnoName(thrown) === 'ENOENT',
  );

/** The path with the links of its folder resolved; undefined when the folder is gone. */
async function withRealParent(path: string): Promise<string | undefined> {
  try {
    return join(await realpath(dirname(path)), basename(path));
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return undefined;
    throw fsError(thrown, path);
  }
}
