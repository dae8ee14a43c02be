import { readClock } from '../host/clock.js';
import { openFifoReader } from './fifo-reader.js';
import { createLogLines } from './log-lines.js';
import type { FanOut } from './fan-out.js';
import type { LogFile } from './log-file.js';
import type { StreamSource } from './messages.js';
import type { Readiness } from './readiness.js';

/** One stream being copied into the log. */
export interface Copy {
  /** Stops and closes; what was taken from the pipe is in the log. Idempotent. */
  close(): void;
}

export interface LogCopyOptions {
  readonly source: StreamSource;
  readonly readiness: Readiness;
  /** Undefined: the stream is read and thrown away. */
  readonly log: LogFile | undefined;
  readonly maxLineBytes: number;
  /** Gets every byte as soon as it is seen, once; while it is full the stream is not read. */
  readonly fanOut: FanOut;
  /** The stream has ended; with an error when it was given up. It is closed already. */
  readonly onEnd: (error?: Error) => void;
}

/**
 * Begins to copy a FIFO into the log. Whole lines leave the pipe once they are written. An unfinished line waits in the
 * pipe, out of harm's way, for 10 ms; a slow one is then taken into memory.
 */
export function startLogCopy({ source, readiness, log, maxLineBytes, fanOut, onEnd }: LogCopyOptions): Copy {
  const lines = createLogLines(source.name, maxLineBytes, readClock, (bytes) => log?.write(bytes));
  const fifo = openFifoReader(source.path, readiness, () => guarded(onReadable));
  const waitingMaxBytes = Math.min(fifo.pipeBytes / 4, 64 * 1024);
  let stopWaiting: (() => void) | undefined;
  // Bytes at the front of the pipe that are known to be an unfinished line.
  let waiting = 0;
  let full = false;

  const close = (): void => {
    stopWaiting?.();
    fanOut.end();
    fifo.close();
    lines.end();
  };

  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (thrown) {
      close();
      onEnd(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  };

  const onReadable = (): void => {
    const bytes = fifo.peek();
    if (bytes === undefined) return;
    if (bytes.length === 0) {
      close();
      onEnd();
    } else if (bytes.length === waiting) {
      fifo.pause();
      stopWaiting = readiness.after(UNFINISHED_WAIT_MS, () => guarded(onWaited));
    } else {
      copy(bytes, waitingMaxBytes);
    }
  };

  const onWaited = (): void => {
    stopWaiting = undefined;
    const bytes = fifo.peek();
    // Those who are attached have no room for more than they have seen.
    if (bytes !== undefined) copy(full ? bytes.subarray(0, waiting) : bytes, 0);
    if (!full) fifo.resume();
  };

  const show = (bytes: Buffer): void => {
    if (bytes.length === 0 || fanOut.write(bytes)) return;
    full = true;
    fifo.pause();
    fanOut.whenRoom(() => {
      full = false;
      if (stopWaiting === undefined) fifo.resume();
    });
  };

  const copy = (bytes: Buffer, mayWaitBytes: number): void => {
    show(bytes.subarray(waiting));
    const said = log === undefined ? bytes.length : lines.push(bytes);
    const rest = bytes.subarray(said);
    waiting = rest.length <= mayWaitBytes ? rest.length : 0;
    if (waiting === 0) lines.take(rest);
    fifo.discard(bytes.length - waiting);
  };

  fifo.resume();
  return { close };
}

const UNFINISHED_WAIT_MS = 10;
