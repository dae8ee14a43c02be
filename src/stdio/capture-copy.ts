import { openFifoReader } from './fifo-reader.js';
import type { Copy } from './log-copy.js';
import type { Readiness } from './readiness.js';

export interface CaptureCopy extends Copy {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly truncated: boolean;
  /** Takes what is in the pipe already, at most twice what a pipe holds: its time is over, and nobody has come to read it. */
  takeRest(): void;
}

const REST_MAX_BATCHES = 32;

/** Begins to collect a FIFO's bytes, up to `maxBytes`; what comes after them is read and dropped. */
export function startCaptureCopy(
  path: string,
  readiness: Readiness,
  maxBytes: number,
  onEnd: (error?: Error) => void,
): CaptureCopy {
  const fifo = openFifoReader(path, readiness, onReadable);
  let buffer = Buffer.alloc(0);
  let length = 0;
  let truncated = false;
  let closed = false;

  function onReadable(): void {
    try {
      const bytes = fifo.read();
      if (bytes === undefined) return;
      if (bytes.length > 0) return keep(bytes);
      close();
      onEnd();
    } catch (thrown) {
      close();
      onEnd(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  function takeRest(): void {
    for (let count = 0; count < REST_MAX_BATCHES && !closed; count++) {
      const bytes = fifo.read();
      if (bytes === undefined || bytes.length === 0) return;
      keep(bytes);
    }
  }

  function close(): void {
    closed = true;
    fifo.close();
  }

  function keep(bytes: Buffer): void {
    const kept = Math.min(bytes.length, maxBytes - length);
    if (kept < bytes.length) truncated = true;
    if (length + kept > buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(length + kept, buffer.length * 2, 4096)));
      buffer.copy(grown, 0, 0, length);
      buffer = grown;
    }
    bytes.copy(buffer, length, 0, kept);
    length += kept;
  }

  fifo.resume();
  return {
    close,
    takeRest,
    get bytes() {
      return new Uint8Array(buffer.subarray(0, length));
    },
    get truncated() {
      return truncated;
    },
  };
}
