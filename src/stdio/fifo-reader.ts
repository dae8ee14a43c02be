import { closeSync } from 'node:fs';
import { openFifoRead, setPipeSize } from '../host/fifo.js';
import { moveToFile, readNow } from '../host/pipe.js';
import type { Readiness } from './readiness.js';

/** A FIFO that is read when it has something to read, without a thread that waits. */
export interface FifoReader {
  /**
   * Takes up to `maxBytes`, at most `BATCH_BYTES`, which are good until the next read of any FIFO. Undefined: nothing there now; an empty
   * buffer: every writer is gone.
   */
  read(maxBytes?: number): Buffer | undefined;
  /** The same into a file at `offset`; answers how many bytes (spool.ts says why). */
  moveTo(file: number, offset: number): number | undefined;
  /** Calls `onReadable` as long as there is something to read, or once all writers are gone. */
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

// One for all FIFOs of a thread, since a batch is dealt with before the next begins.
let buffer: Buffer | undefined;
