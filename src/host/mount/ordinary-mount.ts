import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { ensureDirectory } from '../files/files.js';
import { O_PATH } from '../syscall/common-calls.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';
import { isBind, layersOpen, openDetached, optionsPassedOn, requireOne, type RootfsMount } from './detached-mount.js';
import { bindReadOnly, mountReadOnly, unmount } from './mount-calls.js';

/**
 * Opens the root of a snapshot, read-only: with a mount that is attached nowhere, or on a kernel without those calls
 * (before Linux 5.12, and emulators of another architecture) with mount(2) below `scratch`, a directory of crid's own.
 * That mount is detached before this returns, and lives as long as the descriptor. UNIMPLEMENTED as in `openDetached`.
 */
export async function openSnapshot(mounts: readonly RootfsMount[], scratch: string | undefined): Promise<number> {
  return orWithout(
    () => openDetached(mounts),
    () => openOrdinary(requireOne(mounts), scratch),
  );
}

/** Runs `work`, or `instead` when the kernel lacks a call for it. */
export async function orWithout<T>(work: () => Promise<T>, instead: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (errnoName(thrown) !== 'ENOSYS') throw thrown;
    return instead();
  }
}

/** Mounts a snapshot read-only (nosuid, nodev) on an existing directory with mount(2). */
export async function mountOrdinary(mount: RootfsMount, target: string): Promise<void> {
  if (isBind(mount)) return bindReadOnly(mount.source, target);
  if (mount.type !== 'overlay') {
    return mountReadOnly({ ...mount, target, data: optionsPassedOn(mount).join(',') });
  }
  // As in a detached mount: paths of open layers are short, and the data of mount(2) is one page.
  const opened = layersOpen(mount);
  try {
    const lower = opened.map((fd) => `/proc/self/fd/${fd}`).join(':');
    await mountReadOnly({ ...mount, target, data: [...optionsPassedOn(mount), `lowerdir=${lower}`].join(',') });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

async function openOrdinary(mount: RootfsMount, scratch: string | undefined): Promise<number> {
  // A bind shows nothing that its source does not, and only reading calls use the descriptor.
  if (isBind(mount)) return openDirectory(mount.source);
  if (scratch === undefined) throw new CriError('FAILED_PRECONDITION', 'open rootfs: no directory to mount it on');
  await ensureDirectory(scratch);
  const target = await translated(scratch, () => mkdtemp(join(scratch, 'rootfs-')));
  let root: number | undefined;
  try {
    try {
      await mountOrdinary(mount, target);
      try {
        root = openDirectory(target);
      } finally {
        await unmount(target, { detach: true });
      }
    } finally {
      await translated(target, () => rmdir(target));
    }
    return root;
  } catch (thrown) {
    if (root !== undefined) closeSync(root);
    throw thrown;
  }
}

/** Removes the mounts that a kill has left in `scratch`. Calls `onFailure` for each entry that stays. */
export async function clearScratch(scratch: string, onFailure: (path: string, error: CriError) => void): Promise<void> {
  const names = await readdir(scratch).catch((thrown: unknown) => {
    if (errnoName(thrown) !== 'ENOENT') onFailure(scratch, fsError(thrown, scratch));
    return [];
  });
  for (const name of names) {
    const target = join(scratch, name);
    try {
      await unmount(target, { detach: true });
      await translated(target, () => rmdir(target));
    } catch (thrown) {
      onFailure(target, CriError.from(thrown));
    }
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY);
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}
