import { close, closeSync, constants, fstatSync, type Stats } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { CriError } from '../../base/errors.js';
import type { RootfsMount } from '../mount/detached-mount.js';
import { openSnapshot } from '../mount/ordinary-mount.js';
import { O_CLOEXEC, O_PATH } from '../syscall/common-calls.js';
import { errnoName } from '../syscall/errno.js';
import { callAsync, numberedCall } from '../syscall/libc.js';
import { runTreeJob } from '../trees/tree-threads.js';
import { readDescriptorPieces } from './regular-file.js';
import { walkInRoot } from './walk-in-root.js';

export type { RootfsMount } from '../mount/detached-mount.js';

export interface RootfsStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * A container's root file system, read-only, without a mount that other processes see or that could be left behind.
 * Every link in it, absolute or with `..`, is resolved inside it.
 */
export interface Rootfs {
  /**
   * Passes a file to `take` piece by piece until `take` returns false; a piece is only valid during the call. Returns
   * false when the file is missing or not regular. An aborted `signal` ends the reading between two pieces.
   */
  readFile(path: string, take: (bytes: Uint8Array) => boolean, signal?: AbortSignal): Promise<boolean>;
  /** Follows links; undefined when missing. */
  stat(path: string): Promise<RootfsStat | undefined>;
  /** Does not follow a link in the last component; undefined when missing. */
  lstat(path: string): Promise<RootfsStat | undefined>;
  /** Returns the path with all links resolved, from the root of the rootfs; undefined when missing. */
  realPath(path: string): Promise<string | undefined>;
  /** Returns whether the path exists, links followed. */
  exists(path: string): Promise<boolean>;
  /**
   * Copies the content of the directory `path`, and its owner and mode, into the existing, empty directory
   * `destination`, on another thread; returns false when `path` is missing or not a directory. An aborted `signal` ends
   * the copy at the next entry.
   */
  copyTree(path: string, destination: string, signal?: AbortSignal): Promise<boolean>;
  /**
   * Idempotent. Resolves when the kernel has given up the mount and the devices below it, which may wait for the file
   * system.
   */
  close(): Promise<void>;
}

/**
 * `mounts` are the snapshotter's: one overlay, one bind, or one file system on a device. `scratch` is a directory of
 * crid's own for kernels on which a mount must be attached somewhere.
 */
export async function openRootfs(mounts: readonly RootfsMount[], scratch?: string): Promise<Rootfs> {
  const root = await openSnapshot(mounts, scratch);
  let closed: Promise<void> | undefined;

  /** Runs `work` with an O_PATH descriptor of the file that the path leads to; undefined when there is none. */
  const at = async <T>(path: string, flags: number, work: (fd: number) => T | Promise<T>): Promise<T | undefined> => {
    if (closed) throw new CriError('INTERNAL', `rootfs: ${path}: already closed`);
    const fd = await openInRoot(root, path, O_PATH | flags);
    if (fd === undefined) return undefined;
    try {
      return await work(fd);
    } finally {
      closeSync(fd);
    }
  };

  return {
    readFile: async (path, take, signal) =>
      // O_PATH first, which opens nothing: opening a device or a FIFO of an image can hang or have side effects.
      (await at(path, 0, async (fd) => {
        if (!fstatSync(fd).isFile()) return false;
        await readDescriptorPieces(fd, path, take, signal);
        return true;
      })) ?? false,
    stat: (path) => at(path, 0, (fd) => describe(fstatSync(fd))),
    lstat: (path) => at(path, constants.O_NOFOLLOW, (fd) => describe(fstatSync(fd))),
    realPath: async (path) => {
      // The root is "/" unless it is a directory that is not mounted anew.
      const base = await readlink(`/proc/self/fd/${root}`);
      return at(path, 0, async (fd) => fromBase(await readlink(`/proc/self/fd/${fd}`), base));
    },
    exists: async (path) => (await at(path, 0, () => true)) ?? false,
    copyTree: async (path, destination, signal) =>
      (await at(path, constants.O_DIRECTORY, async (fd) => {
        await runTreeJob({ kind: 'copy', path: destination, source: fd, destination }, signal);
        return true;
      })) ?? false,
    close: () => (closed ??= new Promise((resolve) => close(root, () => resolve()))),
  };
}

/** Returns the path from `base` as the root. */
function fromBase(path: string, base: string): string {
  const below = base === '/' ? path : path.slice(base.length);
  return below === '' ? '/' : below;
}

const SYS_OPENAT2 = 437;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;
const MAX_TRIES = 32;

const openat2 = numberedCall('openat2', ['int', 'const char *', 'uint64_t *', 'size_t']);

async function openInRoot(root: number, path: string, flags: number): Promise<number | undefined> {
  if (path.includes('\0')) return undefined;
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS]);
  for (let tries = 1; ; tries += 1) {
    try {
      return await callAsync(openat2, path, SYS_OPENAT2, root, path, how, how.byteLength);
    } catch (thrown) {
      const name = errnoName(thrown) ?? '';
      if (name === 'ENOSYS') return walk(root, path, flags);
      if (NOWHERE.has(name)) return undefined;
      // openat2(2): EAGAIN when a rename anywhere in the system makes `..` in a confined lookup uncertain.
      if (name !== 'EAGAIN' || tries === MAX_TRIES) throw thrown;
    }
  }
}

/** For a kernel without openat2, which came with Linux 5.6. */
function walk(root: number, path: string, flags: number): number | undefined {
  try {
    return walkInRoot(root, path, flags);
  } catch (thrown) {
    if (NOWHERE.has(errnoName(thrown) ?? '')) return undefined;
    throw thrown;
  }
}

const NOWHERE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']);

const describe = (stats: Stats): RootfsStat => ({
  kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'symlink' : 'other',
  mode: stats.mode & 0o7777,
  uid: stats.uid,
  gid: stats.gid,
  size: stats.size,
});
