import { constants, fstatSync, ftruncateSync, lstatSync, readdirSync, writeSync } from 'node:fs';
import { posix } from 'node:path';
import { fsError } from '../host/errno.js';
import {
  closeBeneath,
  makeDirectoriesBeneath,
  openDirectoryBeneath,
  openFileBeneath,
  type PathBeneath,
} from '../host/open-beneath.js';
import { countDropped, countFailing, countWritten } from './log-counters.js';

/** Where the end of a log is. */
export interface LogPlace {
  /** 0: not known, in what an older crid has noted. */
  readonly device: number;
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
  readonly file: PathBeneath;
  /** Throw when the file cannot be opened, instead of trying again with each write. */
  readonly mustOpen: boolean;
  readonly onTrouble: (error: string, droppedBytes: number) => void;
  /** The first write that succeeds after some were dropped. */
  readonly onRecovered: (droppedBytes: number) => void;
}

/** Divides the path of a log at the pod's log directory. */
export function logFileOf(request: {
  readonly logPath: string | undefined;
  readonly logDirectory?: string | undefined;
}): PathBeneath | undefined {
  const { logPath } = request;
  if (logPath === undefined) return undefined;
  const directory = request.logDirectory ?? posix.dirname(logPath);
  return { directory, path: posix.relative(directory, logPath) };
}

/** Opens or makes the file (0640, its directory 0755); writes go to its end. */
export function openLogFile({ file, mustOpen, onTrouble, onRecovered }: LogFileOptions): LogFile {
  const path = `${file.directory}/${file.path}`;
  let fd: number | undefined;
  let place: LogPlace = NOWHERE;
  let droppedBytes = 0;
  let lastTroubleMs = -Infinity;
  let failing = false;

  const close = (): void => {
    if (fd !== undefined) closeBeneath(fd);
    fd = undefined;
  };

  const reopen = (): void => {
    const next = openForAppend(file);
    close();
    fd = next;
    place = placeOf(fd);
  };

  const setFailing = (now: boolean): void => {
    if (failing !== now) countFailing(now ? 1 : -1);
    failing = now;
  };

  /** False: the file has been deleted, and what was written went with it. */
  const writeTo = (log: number, bytes: Buffer, before: (place: LogPlace) => void): boolean => {
    before(place);
    writeWhole(log, bytes);
    place = placeOf(log);
    return fstatSync(log).nlink > 0;
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
    const nowMs = performance.now();
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
    wasWritten: (at, bytes) => wasWritten(file, at, bytes),
    tell: (error) => onTrouble(error, droppedBytes),
    close() {
      setFailing(false);
      close();
    },
  };
}

const TROUBLE_INTERVAL_MS = 1000;

export const NOWHERE: LogPlace = { device: 0, inode: 0, size: 0 };

function openForAppend(file: PathBeneath): number {
  makeDirectoriesBeneath({ ...file, path: posix.dirname(file.path) }, 0o755);
  const { O_APPEND, O_CREAT, O_WRONLY } = constants;
  return openFileBeneath(file, O_WRONLY | O_APPEND | O_CREAT, 0o640);
}

function placeOf(fd: number): LogPlace {
  const { dev, ino, size } = fstatSync(fd);
  return { device: dev, inode: ino, size };
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

/**
 * The file may have been renamed since, within its directory: that is how logs are rotated. What others have put there
 * is neither followed nor opened.
 */
function wasWritten({ directory, path }: PathBeneath, place: LogPlace, bytes: number): boolean {
  const folder = openDirectoryBeneath({ directory, path: posix.dirname(path) });
  if (folder === undefined) return false;
  try {
    for (const name of readdirSync(`/proc/self/fd/${folder}`)) {
      const found = lstatSync(`/proc/self/fd/${folder}/${name}`, { throwIfNoEntry: false });
      if (!found?.isFile() || found.ino !== place.inode || !isDevice(found.dev, place)) continue;
      return holds({ directory, path: posix.join(posix.dirname(path), name) }, place, bytes);
    }
    return false;
  } finally {
    closeBeneath(folder);
  }
}

const isDevice = (device: number, place: LogPlace): boolean => place.device === 0 || place.device === device;

/** Whether the file of `place` has all of the bytes; takes away a part of them. */
function holds(file: PathBeneath, place: LogPlace, bytes: number): boolean {
  const fd = openFileBeneath(file, constants.O_WRONLY);
  try {
    const { device, inode, size } = placeOf(fd);
    if (inode !== place.inode || !isDevice(device, place)) return false;
    if (size >= place.size + bytes) return true;
    if (size > place.size) ftruncateSync(fd, place.size);
    return false;
  } finally {
    closeBeneath(fd);
  }
}
