import type { StreamSource } from '../shared/copy-messages.js';
import type { FanOut } from './fan-out.js';
import { openFifoReader } from './fifo-reader.js';
import type { LogFile } from './log-file.js';
import type { Readiness } from './readiness.js';
import { openSpooledLog } from './spooled-log.js';

/** A stream that is being copied. */
export interface Copy {
  /** Stops and closes; all bytes taken from the pipe are in the log by then. Idempotent. */
  close(): void;
}

export interface LogCopyOptions {
  readonly source: StreamSource;
  readonly readiness: Readiness;
  /** Undefined: the stream is read and dropped. */
  readonly log: LogFile | undefined;
  readonly maxLineBytes: number;
  /** Gets every byte once, as soon as it is read; while the fan-out is full, the stream is not read. */
  readonly fanOut: FanOut;
  /** Called when the stream has ended, with an error when its copying failed. The stream is closed by then. */
  readonly onEnd: (error?: Error) => void;
}

/** Starts to copy a FIFO into the log, after the bytes that an earlier crid took from the FIFO and did not write. */
export function startLogCopy({ source, readiness, log, maxLineBytes, fanOut, onEnd }: LogCopyOptions): Copy {
  const fifo = openFifoReader(source.path, readiness, () => guarded(onReadable));
  const spooled = log && openSpooledLog(source, log, maxLineBytes);

  const close = (): void => {
    fanOut.end();
    fifo.close();
    spooled?.close();
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
    const bytes = spooled ? spooled.take(fifo) : fifo.read();
    if (bytes === undefined) return;
    if (bytes.length === 0) {
      close();
      return onEnd();
    }
    show(bytes);
    spooled?.append(bytes);
  };

  const show = (bytes: Buffer): void => {
    if (fanOut.write(bytes)) return;
    fifo.pause();
    fanOut.whenRoom(() => fifo.resume());
  };

  fifo.resume();
  return { close };
}
