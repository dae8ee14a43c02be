import { constants, openSync } from 'node:fs';
import { errnoError } from './errno.js';
import { setPipeSize } from './fifo.js';
import { call, lastErrno, systemCall, type SystemCall } from './libc.js';

/** Both ends of a new pipe of about `bytes` in one descriptor; closed with `fs.closeSync`. */
export function openPipe(bytes: number): number {
  const ends = [-1, -1];
  call(pipe2, 'private pipe', ends, constants.O_NONBLOCK | O_CLOEXEC);
  try {
    // Node closes what node:fs opened in a worker when that worker dies, so the pipe is opened once more through it.
    const pipe = openSync(`/proc/self/fd/${ends[0]}`, constants.O_RDWR | constants.O_NONBLOCK);
    setPipeSize(pipe, bytes);
    return pipe;
  } finally {
    for (const end of ends) closeFd.sync(end);
  }
}

/** A new pipe of about `bytes` whose ends are opened by their paths, each by who uses it; `close` lets go of it here. */
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
 * Copies up to `bytes` from one pipe into another without taking them (tee(2)). 0: the pipe has come to its end;
 * undefined: there is nothing now.
 */
export const copyBetweenPipes = (from: number, to: number, bytes: number): number | undefined =>
  nonblocking(tee, from, from, to, bytes, SPLICE_F_NONBLOCK);

/** Takes `bytes` that are in the pipe and drops them into `sink`, an open /dev/null, without copying (splice(2)). */
export function discardFromPipe(pipe: number, sink: number, bytes: number): void {
  for (let left = bytes; left > 0;) {
    left -= call(splice, `fd ${pipe}`, pipe, null, sink, null, left, SPLICE_F_NONBLOCK);
  }
}

/** read(2) on a non-blocking descriptor. 0: the end; undefined: nothing now. */
export const readNow = (fd: number, buffer: Buffer): number | undefined =>
  nonblocking(read, fd, fd, buffer, buffer.length);

const SPLICE_F_NONBLOCK = 2;
const O_CLOEXEC = 0o2000000;
const EAGAIN = 11;

const tee = systemCall('tee', ['int', 'int', 'size_t', 'uint'], 'tee', 'long');
const splice = systemCall('splice', ['int', 'void *', 'int', 'void *', 'size_t', 'uint'], 'splice', 'long');
const read = systemCall('read', ['int', 'void *', 'size_t'], 'read', 'long');
const pipe2 = systemCall('pipe2', ['_Out_ int *', 'int']);
const closeFd = systemCall('close', ['int']);

function nonblocking(fn: SystemCall, fd: number, ...args: unknown[]): number | undefined {
  const count = fn.sync(...args);
  if (count !== -1) return count;
  const errno = lastErrno();
  if (errno === EAGAIN) return undefined;
  throw errnoError(fn.name, `fd ${fd}`, errno);
}
