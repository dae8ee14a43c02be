import { BATCH_BYTES, openFifoReader } from './fifo-reader.js';
import { OWN_BYTES, type CaptureShare } from './capture-budget.js';
import type { Copy } from './log-copy.js';
import type { Readiness } from './readiness.js';

export interface CaptureCopy extends Copy {
  /** The captured bytes, in a buffer that nothing else uses. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly truncated: boolean;
  /** True while the command is blocked because other commands hold the memory that its output needs. */
  readonly waits: boolean;
  /**
   * Reads the bytes that are already in the pipe, at most 2 MiB (twice a pipe's size): the drain time may end before
   * the thread has read them.
   */
  takeRest(): void;
}

export interface CaptureCopyOptions {
  readonly path: string;
  readonly readiness: Readiness;
  readonly maxBytes: number;
  readonly share: CaptureShare;
  /** Called when the copy starts to wait for memory, and when it has got memory. */
  readonly onWait: () => void;
  readonly onEnd: (error?: Error) => void;
}

const REST_MAX_BATCHES = 32;

/** Starts to collect a FIFO's bytes, up to `maxBytes`; bytes beyond `maxBytes` are read and dropped. */
export function startCaptureCopy({ path, readiness, maxBytes, share, onWait, onEnd }: CaptureCopyOptions): CaptureCopy {
  const fifo = openFifoReader(path, readiness, onReadable);
  let buffer = Buffer.alloc(0);
  let length = 0;
  let allowedBytes = Math.min(OWN_BYTES, maxBytes);
  let truncated = false;
  let waits = false;
  let closed = false;

  function onReadable(): void {
    try {
      if (!hasRoom()) return wait();
      const bytes = readBatch();
      if (bytes === undefined) return;
      if (bytes.length > 0) return keep(bytes);
      close();
      onEnd();
    } catch (thrown) {
      close();
      onEnd(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  function hasRoom(): boolean {
    if (length < allowedBytes || length === maxBytes) return true;
    const nextBytes = Math.min(maxBytes, allowedBytes * 2);
    if (!share.take(nextBytes - allowedBytes)) return false;
    allowedBytes = nextBytes;
    return true;
  }

  function wait(): void {
    waits = true;
    fifo.pause();
    share.whenRoom(() => {
      if (closed) return;
      waits = false;
      if (!hasRoom()) return wait();
      fifo.resume();
      onWait();
    });
    onWait();
  }

  const readBatch = (): Buffer | undefined =>
    fifo.read(length === maxBytes ? BATCH_BYTES : Math.min(BATCH_BYTES, allowedBytes - length));

  function takeRest(): void {
    for (let count = 0; count < REST_MAX_BATCHES && !closed && hasRoom(); count++) {
      const bytes = readBatch();
      if (bytes === undefined || bytes.length === 0) return;
      keep(bytes);
    }
  }

  function close(): void {
    closed = true;
    fifo.close();
  }

  function keep(bytes: Buffer): void {
    if (length === maxBytes) truncated = true;
    else append(bytes);
  }

  function append(bytes: Buffer): void {
    if (length + bytes.length > buffer.length) {
      const size = Math.min(maxBytes, Math.max(length + bytes.length, buffer.length * 2, 4096));
      const grown = Buffer.allocUnsafeSlow(size);
      buffer.copy(grown, 0, 0, length);
      buffer = grown;
    }
    length += bytes.copy(buffer, length);
  }

  fifo.resume();
  return {
    close,
    takeRest,
    get bytes() {
      return new Uint8Array(buffer.buffer, 0, length);
    },
    get truncated() {
      return truncated;
    },
    get waits() {
      return waits && !closed;
    },
  };
}
