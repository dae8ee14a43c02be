import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { fsError } from '../../host/syscall/errno.js';
import { BATCH_BYTES, type FifoReader } from './fifo-reader.js';
import { NOWHERE, type LogPlace } from './log-file.js';

/**
 * A file beside the FIFO with the bytes that were taken from it and are not in the log yet, so that a kill of crid
 * loses and duplicates nothing. splice(2) moves bytes from the pipe to the file in one system call: after a kill each
 * byte is in one of the two. Each write to the log is noted first, with the log's length: by that length the next crid
 * sees whether the write was done.
 */
export interface Spool {
  /**
   * Returns the next bytes that an earlier crid took and did not write; undefined: no more. Call it first, then
   * `settle`.
   */
  pending(): Buffer | undefined;
  /** Takes bytes from the FIFO; returns the same as `FifoReader.read`. */
  fill(fifo: FifoReader): Buffer | undefined;
  /** Notes that the next `bytes` of the taken bytes are about to become `logBytes` bytes at `place`. */
  intend(bytes: number, logBytes: number, place: LogPlace): void;
  /** Counts `bytes` as in the log, or dropped. */
  wrote(bytes: number): void;
  /** All taken bytes were written except the last `heldBytes`, an unfinished line. */
  settle(heldBytes: number): void;
  close(): void;
}

export interface SpoolOptions {
  readonly path: string;
  /** Returns whether the `logBytes` that were to be written at `place` are there; removes a partial write. */
  readonly wasWritten: (place: LogPlace, logBytes: number) => boolean;
  /** Called once, when the spool cannot be written: a kill of crid then loses the bytes in memory. */
  readonly onTrouble: (error: string) => void;
}

export function openSpool({ path, wasWritten, onTrouble }: SpoolOptions): Spool {
  // Offsets in the file: bytes before `done` are in the log, bytes before `read` were returned to the caller.
  let [done, read, end] = [DATA, DATA, DATA];
  let fd: number | undefined;
  let inMemory = false;
  let troubled = false;

  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };

  const useMemory = (thrown: unknown): void => {
    inMemory = true;
    if (!troubled) onTrouble(`${fsError(thrown, path).message}: a kill of crid may lose lines`);
    troubled = true;
  };

  const note = (file: number, after = done, logBytes = 0, place: LogPlace = NOWHERE): void => {
    header.set([MAGIC, done, after, logBytes, place.inode, place.size, place.device]);
    writeSync(file, header, 0, header.byteLength, 0);
  };

  const load = (file: number): void => {
    end = Math.max(DATA, fstatSync(file).size);
    header.fill(0);
    readSync(file, header, 0, header.byteLength, 0);
    const [magic, before = 0, after = 0, logBytes = 0, inode = 0, size = 0, device = 0] = header;
    if (magic === MAGIC) done = logBytes > 0 && wasWritten({ device, inode, size }, logBytes) ? after : before;
    // crid was killed after it shortened the file and before it noted that.
    if (done < DATA || done > end) done = DATA;
    read = done;
    // Allocates the header, so that later notes do not fail on a full disk.
    note(file);
  };

  const handOut = (file: number, bytes: number): Buffer => {
    for (let at = 0; at < bytes;) at += readSync(file, buffer, at, bytes - at, read + at);
    read += bytes;
    return buffer.subarray(0, bytes);
  };

  /** Moves the held bytes to the front, unless source and target overlap: a kill would then leave half of them. */
  const shorten = (file: number, heldBytes: number): void => {
    if (heldBytes > 0) {
      if (DATA + heldBytes >= done || heldBytes > buffer.length) return;
      note(file);
      readSync(file, buffer, 0, heldBytes, done);
      writeSync(file, buffer, 0, heldBytes, DATA);
    }
    end = read = DATA + heldBytes;
    ftruncateSync(file, end);
    done = DATA;
  };

  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    load(fd);
  } catch (thrown) {
    close();
    useMemory(thrown);
  }

  return {
    pending: () => (fd === undefined || read >= end ? undefined : handOut(fd, Math.min(end - read, buffer.length))),
    fill(fifo) {
      if (fd === undefined || inMemory) return fifo.read();
      try {
        const count = fifo.moveTo(fd, end);
        end += count ?? 0;
        return count === undefined ? undefined : handOut(fd, count);
      } catch (thrown) {
        useMemory(thrown);
        [done, read, end] = [DATA, DATA, DATA];
        ftruncateSync(fd, DATA);
        return fifo.read();
      }
    },
    intend(bytes, logBytes, place) {
      if (fd !== undefined && !inMemory) note(fd, done + bytes, logBytes, place);
    },
    wrote(bytes) {
      if (!inMemory) done += bytes;
    },
    settle(heldBytes) {
      if (fd === undefined) return;
      if (inMemory) {
        inMemory = heldBytes > 0;
        return;
      }
      if (done > DATA) shorten(fd, heldBytes);
      note(fd);
    },
    close,
  };
}

const HEADER_FIELDS = 8;
const header = new Float64Array(HEADER_FIELDS);
const DATA = header.byteLength;
const MAGIC = 0x63726964;

// Shared by all spools of a thread: each batch is processed before the next begins.
const buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
