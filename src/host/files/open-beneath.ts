import { closeSync, constants, fstatSync, mkdirSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { CriError } from '../../base/errors.js';
import { O_CLOEXEC, O_PATH, closeFd } from '../syscall/common-calls.js';
import { errnoName, fsError } from '../syscall/errno.js';
import { call, callAsync, numberedCall, systemCall } from '../syscall/libc.js';

/**
 * A file in a directory that other programs may write to. Links in the path of `directory` are followed, since an
 * operator may have moved it (`/var/log/pods`). No link below it is followed, in any part of `path`.
 */
export interface PathBeneath {
  /** Absolute. */
  readonly directory: string;
  /** Relative, without `..`. */
  readonly path: string;
}

/**
 * Opens a regular file beneath a directory with openat2(2), on this thread. With O_CREAT it makes the file with `mode`.
 * FAILED_PRECONDITION, with the path, for a link and any other file that is not regular. Such a file is not opened:
 * opening a FIFO may hang, and opening a device may have side effects.
 */
export function openFileBeneath({ directory, path }: PathBeneath, flags: number, mode = 0): number {
  const subject = `${directory}/${path}`;
  return withDirectory(directory, (root) => {
    const found = tryOpen(root, path, O_PATH, 0, subject);
    if (found !== undefined) {
      try {
        checkRegular(found, subject);
      } finally {
        closeBeneath(found);
      }
    }
    const fd = openBeneath(root, path, flags | constants.O_NONBLOCK | constants.O_NOCTTY, mode, subject);
    try {
      checkRegular(fd, subject);
      return fd;
    } catch (thrown) {
      closeBeneath(fd);
      throw thrown;
    }
  });
}

/**
 * Closes a descriptor that a function of this file has opened. On a worker thread `fs.closeSync` prints a warning for a
 * descriptor that `fs` has not opened there (https://nodejs.org/api/worker_threads.html, trackUnmanagedFds).
 */
export const closeBeneath = (fd: number): void => void call(closeFd, `fd ${fd}`, fd);

/** Opens a directory beneath another one (O_PATH); `''` is `directory` itself. Undefined when it is missing. */
export const openDirectoryBeneath = ({ directory, path }: PathBeneath): number | undefined =>
  withDirectory(directory, (root) =>
    tryOpen(root, path || '.', O_PATH | constants.O_DIRECTORY, 0, `${directory}/${path}`),
  );

/** Makes `directory` with its missing parents, and below it each missing part of `path`. */
export function makeDirectoriesBeneath({ directory, path }: PathBeneath, mode: number): void {
  try {
    mkdirSync(directory, { recursive: true, mode });
  } catch (thrown) {
    throw fsError(thrown, directory);
  }
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  for (let count = 1; count <= parts.length; count += 1) {
    const fd = openDirectoryBeneath({ directory, path: parts.slice(0, count - 1).join('/') });
    if (fd === undefined) throw new CriError('NOT_FOUND', `open ${directory}: removed meanwhile`);
    try {
      // mkdir(2) does not follow a link in the last part of the path.
      mkdirSync(`/proc/self/fd/${fd}/${parts[count - 1]}`, { mode });
    } catch (thrown) {
      if (errnoName(thrown) !== 'EEXIST') throw fsError(thrown, `${directory}/${path}`);
    } finally {
      closeBeneath(fd);
    }
  }
}

/** Opens a regular file beneath a directory to read, on libuv's thread pool. Undefined when it is missing. */
export async function readFileBeneath({ directory, path }: PathBeneath) {
  const subject = `${directory}/${path}`;
  const root = await open(directory, O_PATH | constants.O_DIRECTORY).catch(undefinedWhereMissing);
  if (!root) return undefined;
  try {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
    const how = howTo(flags, 0);
    const fd = await callAsync(openat2, subject, SYS_OPENAT2, root.fd, path, how, how.byteLength)
      .catch((thrown: unknown) => {
        if (errnoName(thrown) !== 'ENOSYS') throw thrown;
        return walkBeneath(root.fd, path, flags, 0, subject);
      })
      .catch(undefinedWhereMissing);
    if (fd === undefined) return undefined;
    try {
      checkRegular(fd, subject);
    } catch (thrown) {
      closeBeneath(fd);
      throw thrown;
    }
    return fd;
  } finally {
    await root.close();
  }
}

const SYS_OPENAT2 = 437;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_NO_SYMLINKS = 0x04n;
const RESOLVE_BENEATH = 0x08n;
const MAX_TRIES = 32;

const openat2 = numberedCall('openat2', ['int', 'const char *', 'uint64_t *', 'size_t']);

const howTo = (flags: number, mode: number): BigUint64Array =>
  new BigUint64Array([
    BigInt(flags | O_CLOEXEC),
    BigInt(mode),
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  ]);

function openBeneath(root: number, path: string, flags: number, mode: number, subject: string): number {
  const how = howTo(flags | constants.O_NOFOLLOW, mode);
  for (let tries = 1; ; tries += 1) {
    try {
      return call(openat2, subject, SYS_OPENAT2, root, path, how, how.byteLength);
    } catch (thrown) {
      const name = errnoName(thrown);
      if (name === 'ENOSYS') return walkBeneath(root, path, flags, mode, subject);
      if (name === 'ELOOP') throw linkError(subject);
      // openat2(2): EAGAIN when a rename anywhere in the system makes a confined lookup uncertain.
      if (name !== 'EAGAIN' || tries === MAX_TRIES) throw thrown;
    }
  }
}

/** As `openBeneath` on a kernel without openat2 (before Linux 5.6): opens one part after the other, links refused. */
function walkBeneath(root: number, path: string, flags: number, mode: number, subject: string): number {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new CriError('INVALID_ARGUMENT', `open ${subject}: leads out of its directory`);
  const last = parts.pop() ?? '.';
  const way: number[] = [];
  const step = (part: string, how: number): number => {
    try {
      return call(openat, subject, way.at(-1) ?? root, part, how | constants.O_NOFOLLOW | O_CLOEXEC, mode);
    } catch (thrown) {
      if (errnoName(thrown) === 'ELOOP') throw linkError(subject);
      throw thrown;
    }
  };
  try {
    for (const part of parts) {
      const fd = step(part, O_PATH);
      way.push(fd);
      if (fstatSync(fd).isSymbolicLink()) throw linkError(subject);
    }
    return step(last, flags);
  } finally {
    for (const fd of way) closeBeneath(fd);
  }
}

const openat = systemCall('openat', ['int', 'const char *', 'int', 'uint']);

const linkError = (subject: string): CriError =>
  new CriError('FAILED_PRECONDITION', `open ${subject}: a symbolic link, not followed`);

function tryOpen(root: number, path: string, flags: number, mode: number, subject: string): number | undefined {
  try {
    return openBeneath(root, path, flags, mode, subject);
  } catch (thrown) {
    return undefinedWhereMissing(thrown);
  }
}

function undefinedWhereMissing(thrown: unknown): undefined {
  if (errnoName(thrown) !== 'ENOENT') throw thrown;
  return undefined;
}

function withDirectory<T>(directory: string, work: (root: number) => T): T {
  let root: number;
  try {
    root = openSync(directory, O_PATH | constants.O_DIRECTORY);
  } catch (thrown) {
    throw fsError(thrown, directory);
  }
  try {
    return work(root);
  } finally {
    closeSync(root);
  }
}

function checkRegular(fd: number, subject: string): void {
  const stats = fstatSync(fd);
  if (stats.isSymbolicLink()) throw linkError(subject);
  if (!stats.isFile()) throw new CriError('FAILED_PRECONDITION', `open ${subject}: not a regular file`);
}
