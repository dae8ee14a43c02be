import { isCode } from '../../base/errors.js';
import { mountCall } from '../syscall/common-calls.js';
import { errnoName } from '../syscall/errno.js';
import { callAsync, systemCall } from '../syscall/libc.js';
import { readMountInfo } from './mountinfo.js';

export { mountOf, readMountInfo } from './mountinfo.js';
export type { MountInfo } from './mountinfo.js';

/**
 * Mounts a tmpfs (nosuid, nodev, noexec) on an existing directory. `mode` is as for chmod; `owner` defaults to root.
 */
export async function mountTmpfs(
  target: string,
  options: { sizeBytes: number; mode: number; owner?: { uid: number; gid: number } | undefined },
): Promise<void> {
  const { owner = { uid: 0, gid: 0 } } = options;
  const data = `mode=${options.mode.toString(8)},size=${options.sizeBytes},uid=${owner.uid},gid=${owner.gid}`;
  await callAsync(mountCall, target, 'tmpfs', target, 'tmpfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
}

/** Binds `source` on an existing `target` of the same kind (directory on directory, file on file). */
export async function bindMount(
  source: string,
  target: string,
  options: { readonly?: boolean; recursive?: boolean } = {},
): Promise<void> {
  const flags = MS_BIND | (options.recursive ? MS_REC : 0);
  await callAsync(mountCall, `${source} on ${target}`, source, target, 'none', flags, null);
  if (!options.readonly) return;
  try {
    await remountReadonlyBind(target);
  } catch (thrown) {
    await unmount(target, { detach: true });
    throw thrown;
  }
}

/** Makes a bind mount read-only; its other flags stay. Mounts below it are not touched. */
async function remountReadonlyBind(target: string): Promise<void> {
  // The first bind ignores MS_RDONLY, and a remount drops the flags that it does not repeat.
  const own = (await readMountInfo()).findLast((info) => info.mountPoint === target);
  const kept = (own?.options ?? []).reduce((flags, option) => flags | (mountFlags[option] ?? 0), 0);
  await callAsync(mountCall, target, 'none', target, 'none', MS_BIND | MS_REMOUNT | MS_RDONLY | kept, null);
}

/** Mounts a file system read-only (nosuid, nodev) on an existing directory. */
export async function mountReadOnly(mount: {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly data: string;
}): Promise<void> {
  const { type, source, target, data } = mount;
  await callAsync(mountCall, target, source, target, type, MS_RDONLY | MS_NOSUID | MS_NODEV, data);
}

/**
 * Binds a directory read-only (nosuid, nodev) on an existing one, without the mounts below it. A kill can leave it
 * without these options.
 */
export async function bindReadOnly(source: string, target: string): Promise<void> {
  await callAsync(mountCall, `${source} on ${target}`, source, target, 'none', MS_BIND, null);
  try {
    const flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
    await callAsync(mountCall, target, 'none', target, 'none', flags, null);
  } catch (thrown) {
    await unmount(target, { detach: true });
    throw thrown;
  }
}

/**
 * Unmounts the topmost mount at `target`, without following a link. Succeeds when nothing is mounted there or the path
 * is gone. With `detach` a busy mount ends with its last user (MNT_DETACH). Without it, a plain unmount is tried first,
 * and a busy mount is then detached as well.
 */
export async function unmount(target: string, options: { detach: boolean }): Promise<void> {
  try {
    await callAsync(umount2, target, target, UMOUNT_NOFOLLOW | (options.detach ? MNT_DETACH : 0));
  } catch (thrown) {
    // EINVAL: not a mount point.
    if (isCode(thrown, 'NOT_FOUND') || isCode(thrown, 'INVALID_ARGUMENT')) return;
    if (errnoName(thrown) === 'EBUSY' && !options.detach) return unmount(target, { detach: true });
    throw thrown;
  }
}

/**
 * Returns whether something is mounted at exactly this path (absolute, clean, without links). False when it is missing.
 */
export async function isMountPoint(path: string): Promise<boolean> {
  return (await readMountInfo()).some((info) => info.mountPoint === path);
}

const MS_RDONLY = 0x1;
const MS_NOSUID = 0x2;
const MS_NODEV = 0x4;
const MS_NOEXEC = 0x8;
const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MNT_DETACH = 0x2;
const UMOUNT_NOFOLLOW = 0x8;

const mountFlags: Readonly<Record<string, number>> = {
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  noatime: 0x400,
  nodiratime: 0x800,
  relatime: 0x200000,
};

const umount2 = systemCall('umount2', ['const char *', 'int'], 'umount2');
