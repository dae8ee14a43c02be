import { closeSync } from 'node:fs';
import { openFifoRead, setPipeSize } from '../../host/pipe/fifo.js';
import { moveToFile, readNow } from '../../host/pipe/pipe.js';
import type { Readiness } from './readiness.js';

/** A FIFO that is read when it is readable, without a blocked thread. */
export interface FifoReader {
  /**
   * Returns up to `maxBytes` bytes, at most `BATCH_BYTES`, which are valid until the next read of any FIFO. Undefined:
   * the pipe is empty; an empty buffer: every writer is gone.
   */
  read(maxBytes?: number): Buffer | undefined;
  /** As `read`, but moves the bytes into a file at `offset`; returns their number (spool.ts says why). */
  moveTo(file: number, offset: number): number | undefined;
  /** Calls `onReadable` each turn while the FIFO has bytes, or once all writers are gone. */
  resume(): void;
  pause(): void;
  /** Idempotent. */
  close(): void;
}

export function openFifoReader(path: string, readiness: Readiness, onReadable: () => void): FifoReader {
  const fd = openFifoRead(path);
  setPipeSize(fd, PIPE_BYTES);
  let stopWatching: (() => void) | undefined;
  let closed = false;

  const pause = (): void => {
    stopWatching?.();
    stopWatching = undefined;
  };

  return {
    read(maxBytes = BATCH_BYTES) {
      buffer ??= Buffer.allocUnsafeSlow(BATCH_BYTES);
      const count = readNow(fd, buffer.subarray(0, maxBytes));
      return count === undefined ? undefined : buffer.subarray(0, count);
    },
    moveTo: (file, offset) => moveToFile(fd, file, offset, BATCH_BYTES),
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

export const BATCH_BYTES = 64 * 1024;
const PIPE_BYTES = 1024 * 1024;

// Shared by all FIFOs of a thread: each batch is processed before the next is read.
let buffer: Buffer | undefined;
