import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CriError } from '../base/errors.js';
import { errnoName, fsError, translated } from './errno.js';
import { isWithin, readMountInfo } from './mountinfo.js';

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

/**
 * Removes a file or a directory with all in it; links are removed, not followed. Succeeds when it is gone. Unmounts
 * nothing: FAILED_PRECONDITION, naming the mount, when something is mounted at or below `path`.
 */
export async function removeTree(path: string): Promise<void> {
  let parent: string;
  try {
    parent = await realpath(dirname(path));
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return;
    throw fsError(thrown, path);
  }
  const real = join(parent, basename(path));
  const mounted = (await readMountInfo()).find((info) => isWithin(info.mountPoint, real));
  if (mounted !== undefined) {
    throw new CriError('FAILED_PRECONDITION', `remove ${path}: ${mounted.fstype} is mounted at ${mounted.mountPoint}`);
  }
  await translated(path, () => rm(real, { recursive: true, force: true }));
}
