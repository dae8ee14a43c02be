import { readClock } from '../../host/syscall/clock.js';
import { spoolPath, type StreamSource } from '../shared/copy-messages.js';
import type { FifoReader } from './fifo-reader.js';
import type { LogFile } from './log-file.js';
import { createLogLines } from './log-lines.js';
import { openSpool } from './spool.js';

/**
 * The log of one stream. A kill of crid at any time loses and doubles no line, because each batch goes through these
 * steps in this order:
 *
 * 1. fill: the bytes move from the FIFO into the spool;
 * 2. intend: the spool notes which of them are about to be written, and where in the log;
 * 3. write: the log gets the lines;
 * 4. wrote: the spool counts their bytes as done;
 * 5. settle: the spool keeps only the unfinished line.
 */
export interface SpooledLog {
  /** Takes bytes from the FIFO, and returns the same as `FifoReader.read`. `append` them before the next `take`. */
  take(fifo: FifoReader): Buffer | undefined;
  /** Writes the complete lines of the bytes taken last. */
  append(bytes: Buffer): void;
  /** Writes the unfinished line, and closes the spool, not the log. Idempotent. */
  close(): void;
}

/** Begins with the bytes that an earlier crid took from the FIFO and did not write. */
export function openSpooledLog(source: StreamSource, log: LogFile, maxLineBytes: number): SpooledLog {
  const spool = openSpool({ path: spoolPath(source.path), wasWritten: log.wasWritten, onTrouble: log.tell });
  const lines = createLogLines(source.name, maxLineBytes, readClock, (formatted, bytes) => {
    log.write(formatted, (place) => spool.intend(bytes, formatted.length, place));
    spool.wrote(bytes);
  });
  let closed = false;

  for (let bytes = spool.pending(); bytes; bytes = spool.pending()) lines.push(bytes);
  spool.settle(lines.heldBytes);

  return {
    take: (fifo) => spool.fill(fifo),
    append(bytes) {
      lines.push(bytes);
      spool.settle(lines.heldBytes);
    },
    close() {
      if (closed) return;
      closed = true;
      lines.end();
      spool.settle(0);
      spool.close();
    },
  };
}
