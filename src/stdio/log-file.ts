import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fsError } from '../host/errno.js';
import { countDropped, countFailing, countWritten } from './log-counters.js';

/** Where the end of a log is. */
export interface LogPlace {
  readonly inode: number;
  readonly size: number;
}

/**
 * A container's log file. Writes are synchronous, on the copying thread: a slow disk then stops the reading (that is the
 * back-pressure) and never takes a thread of libuv's pool, which the server needs. A write that fails is dropped and
 * counted, since a container must not stop for its log; each later write tries again.
 */
export interface LogFile {
  /** `before` hears where the bytes are about to go; twice, when that file turns out to have been deleted. */
  write(bytes: Buffer, before: (place: LogPlace) => void): void;
  /** Opens the path anew, then lets go of the old file. Throws a CriError and keeps the old file when it cannot. */
  reopen(): void;
  /** Whether `bytes` that an earlier server was about to write at `place` are there; takes away a part of them. */
  wasWritten(place: LogPlace, bytes: number): boolean;
  /** Tells of trouble that concerns the log and is not the file's. */
  tell(error: string): void;
  close(): void;
}

export interface LogFileOptions {
  readonly path: string;
  /** Throw when the file cannot be opened, instead of trying again with each write. */
  readonly mustOpen: boolean;
  readonly onTrouble: (error: string, droppedBytes: number) => void;
  /** The first write that succeeds after some were dropped. */
  readonly onRecovered: (droppedBytes: number) => void;
}

/** Opens or makes the file (0640, its directory 0755); writes go to its end. */
export function openLogFile({ path, mustOpen, onTrouble, onRecovered }: LogFileOptions): LogFile {
  let fd: number | undefined;
  let place: LogPlace = { inode: 0, size: 0 };
  let droppedBytes = 0;
  let lastTroubleMs = 0;
  let failing = false;

  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };

  const reopen = (): void => {
    const next = openForAppend(path);
    close();
    fd = next;
    place = placeOf(fd);
  };

  const setFailing = (now: boolean): void => {
    if (failing !== now) countFailing(now ? 1 : -1);
    failing = now;
  };

  /** False: the file has been deleted, and what was written went with it. */
  const writeTo = (file: number, bytes: Buffer, before: (place: LogPlace) => void): boolean => {
    before(place);
    writeWhole(file, bytes);
    const { nlink, ino, size } = fstatSync(file);
    place = { inode: ino, size };
    return nlink > 0;
  };

  const write = (bytes: Buffer, before: (place: LogPlace) => void): void => {
    if (fd === undefined) reopen();
    if (fd !== undefined && writeTo(fd, bytes, before)) return;
    onTrouble(`${path}: the file was deleted, another is begun`, droppedBytes);
    reopen();
    if (fd !== undefined) writeTo(fd, bytes, before);
  };

  const onFailure = (thrown: unknown, bytes: number): void => {
    setFailing(true);
    droppedBytes += bytes;
    countDropped(bytes);
    const nowMs = Date.now();
    if (nowMs - lastTroubleMs < TROUBLE_INTERVAL_MS) return;
    lastTroubleMs = nowMs;
    onTrouble(fsError(thrown, path).message, droppedBytes);
  };

  try {
    reopen();
  } catch (thrown) {
    if (mustOpen) throw thrown;
    onFailure(thrown, 0);
  }

  return {
    write(bytes, before) {
      try {
        write(bytes, before);
        countWritten(bytes.length);
        if (failing) onRecovered(droppedBytes);
        setFailing(false);
      } catch (thrown) {
        onFailure(thrown, bytes.length);
      }
    },
    reopen,
    wasWritten: (at, bytes) => wasWritten(path, at, bytes),
    tell: (error) => onTrouble(error, droppedBytes),
    close() {
      setFailing(false);
      close();
    },
  };
}

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

function placeOf(fd: number): LogPlace {
  const { ino, size } = fstatSync(fd);
  return { inode: ino, size };
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

/** The file may have been renamed since, within its directory: that is how logs are rotated. */
function wasWritten(path: string, { inode, size }: LogPlace, bytes: number): boolean {
  for (const file of siblings(path)) {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.ino !== inode || !found.isFile()) continue;
    if (found.size >= size + bytes) return true;
    if (found.size > size) truncateSync(file, size);
    return false;
  }
  return false;
}

function siblings(path: string): string[] {
  const directory = dirname(path);
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    return [];
  }
}
