import { constants } from 'node:fs';
import { O_CLOEXEC, closeFd, pipe2 } from '../syscall/common-calls.js';
import { errnoError } from '../syscall/errno.js';
import { call, lastErrno, systemCall, type SystemCall } from '../syscall/libc.js';
import { setPipeSize } from './fifo.js';

/** Makes a pipe of about `bytes`. Each user opens its end by the end's path; `close` closes the descriptors here. */
export function makePipe(bytes: number): { readonly readPath: string; readonly writePath: string; close(): void } {
  const ends: [number, number] = [-1, -1];
  call(pipe2, 'pipe', ends, constants.O_NONBLOCK | O_CLOEXEC);
  setPipeSize(ends[0], bytes);
  return {
    readPath: `/proc/self/fd/${ends[0]}`,
    writePath: `/proc/self/fd/${ends[1]}`,
    close() {
      for (const end of ends) closeFd.sync(end);
    },
  };
}

/**
 * Moves up to `bytes` from a pipe into a file at an offset (splice(2)): whenever the process is killed, each byte is in
 * the pipe or in the file. Returns 0 at the end of the pipe, undefined when it is empty now.
 */
export function moveToFile(pipe: number, file: number, offset: number, bytes: number): number | undefined {
  fileOffset[0] = BigInt(offset);
  return nonblocking(splice, pipe, pipe, null, file, fileOffset, bytes, SPLICE_F_NONBLOCK);
}

/** read(2) on a non-blocking descriptor. Returns 0 at the end, undefined when there is nothing to read now. */
export const readNow = (fd: number, buffer: Buffer): number | undefined =>
  nonblocking(read, fd, fd, buffer, buffer.length);

const SPLICE_F_NONBLOCK = 2;
const EAGAIN = 11;

const fileOffset = new BigInt64Array(1);
const splice = systemCall('splice', ['int', 'void *', 'int', 'int64_t *', 'size_t', 'uint'], 'splice', 'long');
const read = systemCall('read', ['int', 'void *', 'size_t'], 'read', 'long');

function nonblocking(fn: SystemCall, fd: number, ...args: unknown[]): number | undefined {
  const count = fn.sync(...args);
  if (count !== -1) return count;
  const errno = lastErrno();
  if (errno === EAGAIN) return undefined;
  throw errnoError(fn.name, `fd ${fd}`, errno);
}
