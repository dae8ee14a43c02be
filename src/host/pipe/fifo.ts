import { constants, closeSync, fstatSync, openSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { fsError } from '../syscall/errno.js';
import { call, systemCall } from '../syscall/libc.js';

/** Makes a FIFO with exactly `mode`, whatever the umask. ALREADY_EXISTS when the path is taken. */
export function makeFifo(path: string, mode: number): void {
  call(mkfifo, path, path, mode);
  call(chmod, path, path, mode);
}

/**
 * Opens a FIFO to read without waiting for a writer. NOT_FOUND when missing, INVALID_ARGUMENT when it is not a FIFO.
 */
export const openFifoRead = (path: string): number => openFifo(path, constants.O_RDONLY);

/** Opens a FIFO to write. FAILED_PRECONDITION (ENXIO) at once when it has no reader. */
export const openFifoWrite = (path: string): number => openFifo(path, constants.O_WRONLY);

/**
 * Sets the size of a pipe to `bytes`, best effort (an unprivileged user's pipes are limited by
 * fs.pipe-user-pages-soft), and returns the actual size.
 */
export function setPipeSize(fd: number, bytes: number): number {
  const set = fcntl.sync(fd, F_SETPIPE_SZ, bytes);
  return set === -1 ? call(fcntl, `fd ${fd}`, fd, F_GETPIPE_SZ, 0) : set;
}

const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;

const mkfifo = systemCall('mkfifo', ['const char *', 'uint']);
const chmod = systemCall('chmod', ['const char *', 'uint']);
const fcntl = systemCall('fcntl', ['int', 'int', 'int']);

function openFifo(path: string, access: number): number {
  const fd = openNonblocking(path, access);
  if (fstatSync(fd).isFIFO()) return fd;
  closeSync(fd);
  throw new CriError('INVALID_ARGUMENT', `open ${path}: not a fifo`);
}

function openNonblocking(path: string, access: number): number {
  try {
    // O_NOFOLLOW: crid makes no links, so another program put a link in place of the FIFO.
    return openSync(path, access | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENXIO') {
      throw new CriError('FAILED_PRECONDITION', `open ${path}: no reader (ENXIO)`, { cause: thrown });
    }
    throw fsError(thrown, path);
  }
}
