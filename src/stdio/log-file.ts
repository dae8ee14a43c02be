import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { fsError } from '../host/errno.js';
import { countDropped, countWritten } from './log-counters.js';

/**
 * A container's log file. Writes are synchronous, on the copying thread: a slow disk then stops the reading (that is the
 * back-pressure) and never takes a thread of libuv's pool, which the server needs. A write that fails is dropped and
 * counted, since a container must not stop for its log; each later write tries again.
 */
export interface LogFile {
  write(bytes: Buffer): void;
  /** Opens the path anew, then lets go of the old file. Throws a CriError and keeps the old file when it cannot. */
  reopen(): void;
  close(): void;
}

/** Opens or makes the file (0640, its directory 0755); writes go to its end. */
export function openLogFile(path: string, onTrouble: (error: string, droppedBytes: number) => void): LogFile {
  let fd = openForAppend(path);
  let droppedBytes = 0;
  let lastTroubleMs = 0;
  let lastCheckMs = Date.now();

  const reopen = (): void => {
    const next = openForAppend(path);
    closeSync(fd);
    fd = next;
  };

  /** A file that was deleted under us swallows what is written to it: begin a new one. */
  const recoverDeleted = (nowMs: number): void => {
    if (nowMs - lastCheckMs < CHECK_INTERVAL_MS) return;
    lastCheckMs = nowMs;
    if (fstatSync(fd).nlink === 0) reopen();
  };

  return {
    write(bytes) {
      const nowMs = Date.now();
      try {
        recoverDeleted(nowMs);
        writeWhole(fd, bytes);
        countWritten(bytes.length);
      } catch (thrown) {
        droppedBytes += bytes.length;
        countDropped(bytes.length);
        if (nowMs - lastTroubleMs < TROUBLE_INTERVAL_MS) return;
        lastTroubleMs = nowMs;
        onTrouble(fsError(thrown, path).message, droppedBytes);
      }
    },
    reopen,
    close: () => closeSync(fd),
  };
}

const CHECK_INTERVAL_MS = 1000;
const TROUBLE_INTERVAL_MS = 1000;

function openForAppend(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;
    // O_NONBLOCK: a FIFO in place of the log fails at once instead of hanging the thread.
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, 0o640);
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}

function writeWhole(fd: number, bytes: Buffer): void {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(fd, bytes, written, bytes.length - written);
  } catch (thrown) {
    // A disk that filled up took a part: take it back, or half a line would run into the next one.
    if (written > 0) ftruncateSync(fd, fstatSync(fd).size - written);
    throw thrown;
  }
}
