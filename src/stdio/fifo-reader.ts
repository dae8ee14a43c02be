import { closeSync, constants, openSync, readSync } from 'node:fs';
import { errnoError } from '../host/errno.js';
import { openFifoRead, setPipeSize } from '../host/fifo.js';
import { call, lastErrno, systemCall } from '../host/libc.js';
import type { Readiness } from './readiness.js';

/** A FIFO that is read when it has something to read, without a thread that waits. */
export interface FifoReader {
  /** Bytes its pipe holds before a writer blocks. */
  readonly pipeBytes: number;
  /**
   * Looks at up to 256 KiB without taking them. The bytes are good until the next look at any FIFO. Undefined: nothing
   * there now; an empty buffer: every writer is gone.
   */
  peek(): Buffer | undefined;
  /** Takes `bytes` that were looked at. */
  discard(bytes: number): void;
  /** The same as peek and discard in one, for streams of which a copy may be lost. */
  read(): Buffer | undefined;
  /** Calls `onReadable` as long as there is something to read, or once all writers are gone. */
  resume(): void;
  pause(): void;
  /** Idempotent. */
  close(): void;
}

/**
 * Why peek and discard: what a process has read and not yet written dies with it. tee(2) copies the pipe's content into
 * a private pipe; it is taken from the FIFO only once it is in the log, so that a kill at any point loses no line.
 */
export function openFifoReader(path: string, readiness: Readiness, onReadable: () => void): FifoReader {
  const fd = openFifoRead(path);
  const pipeBytes = setPipeSize(fd, PIPE_BYTES);
  let stopWatching: (() => void) | undefined;
  let closed = false;

  const pause = (): void => {
    stopWatching?.();
    stopWatching = undefined;
  };

  return {
    pipeBytes,
    peek() {
      const count = nonblocking(tee.sync(fd, scratch().pipe, BATCH_BYTES, SPLICE_F_NONBLOCK), tee.name, path);
      if (count === undefined) return undefined;
      const { pipe, buffer } = scratch();
      for (let at = 0; at < count;) at += readSync(pipe, buffer, at, count - at, null);
      return buffer.subarray(0, count);
    },
    discard(bytes) {
      const { sink } = scratch();
      for (let left = bytes; left > 0;) {
        left -= call(splice, path, fd, null, sink, null, left, SPLICE_F_NONBLOCK);
      }
    },
    read() {
      const { buffer } = scratch();
      const count = nonblocking(read.sync(fd, buffer, BATCH_BYTES), read.name, path);
      return count === undefined ? undefined : buffer.subarray(0, count);
    },
    resume() {
      if (!closed) stopWatching ??= readiness.watch(fd, onReadable);
    },
    pause,
    close() {
      if (closed) return;
      closed = true;
      pause();
      closeSync(fd);
    },
  };
}

const PIPE_BYTES = 1024 * 1024;
const BATCH_BYTES = 256 * 1024;
const SPLICE_F_NONBLOCK = 2;
const EAGAIN = 11;
const O_CLOEXEC = 0o2000000;

const tee = systemCall('tee', ['int', 'int', 'size_t', 'uint'], 'tee', 'long');
const splice = systemCall('splice', ['int', 'void *', 'int', 'void *', 'size_t', 'uint'], 'splice', 'long');
const read = systemCall('read', ['int', 'void *', 'size_t'], 'read', 'long');
const pipe2 = systemCall('pipe2', ['_Out_ int *', 'int']);
const closeFd = systemCall('close', ['int']);

interface Scratch {
  /** Both ends of a pipe in one descriptor; empty between two batches. */
  readonly pipe: number;
  readonly sink: number;
  readonly buffer: Buffer;
}

// One for all FIFOs of a thread, since a batch is dealt with before the next begins.
let shared: Scratch | undefined;

function scratch(): Scratch {
  return (shared ??= {
    pipe: openPrivatePipe(),
    sink: openSync('/dev/null', constants.O_WRONLY),
    buffer: Buffer.allocUnsafeSlow(BATCH_BYTES),
  });
}

// Node closes what node:fs opened in a worker when that worker dies, so the pipe is opened once more through it.
function openPrivatePipe(): number {
  const ends = [-1, -1];
  call(pipe2, 'private pipe', ends, constants.O_NONBLOCK | O_CLOEXEC);
  try {
    const pipe = openSync(`/proc/self/fd/${ends[0]}`, constants.O_RDWR | constants.O_NONBLOCK);
    setPipeSize(pipe, PIPE_BYTES);
    return pipe;
  } finally {
    for (const end of ends) closeFd.sync(end);
  }
}

function nonblocking(count: number, name: string, path: string): number | undefined {
  if (count !== -1) return count;
  const errno = lastErrno();
  if (errno === EAGAIN) return undefined;
  throw errnoError(name, path, errno);
}
