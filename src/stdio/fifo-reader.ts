import { closeSync, constants, openSync, readSync } from 'node:fs';
import { openFifoRead, setPipeSize } from '../host/fifo.js';
import { copyBetweenPipes, discardFromPipe, openPipe, readNow } from '../host/pipe.js';
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
      const { pipe, buffer } = scratch();
      const count = copyBetweenPipes(fd, pipe, BATCH_BYTES);
      if (count === undefined) return undefined;
      for (let at = 0; at < count;) at += readSync(pipe, buffer, at, count - at, null);
      return buffer.subarray(0, count);
    },
    discard: (bytes) => discardFromPipe(fd, scratch().sink, bytes),
    read() {
      const { buffer } = scratch();
      const count = readNow(fd, buffer);
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
    pipe: openPipe(PIPE_BYTES),
    sink: openSync('/dev/null', constants.O_WRONLY),
    buffer: Buffer.allocUnsafeSlow(BATCH_BYTES),
  });
}
