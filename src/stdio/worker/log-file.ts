import { constants, fstatSync, ftruncateSync, lstatSync, readdirSync, writeSync } from 'node:fs';
import { posix } from 'node:path';
import {
  closeBeneath,
  makeDirectoriesBeneath,
  openDirectoryBeneath,
  openFileBeneath,
  type PathBeneath,
} from '../../host/files/open-beneath.js';
import { fsError } from '../../host/syscall/errno.js';
import type { LogCounter } from '../shared/log-counter.js';

/** A log's file and its length. */
export interface LogPlace {
  /** 0: not known, in a spool that an older crid wrote. */
  readonly device: number;
  readonly inode: number;
  readonly size: number;
}

/**
 * A container's log file. Writes are synchronous, on the copying thread: a slow disk then stops the reading of the
 * streams (back-pressure), and never uses a thread of libuv's pool, which the server needs. Bytes of a failed write are
 * dropped and counted, since a log must not stop its container; each later write tries again.
 */
export interface LogFile {
  /**
   * Calls `before` with the place that the bytes go to, and once more when that file turns out to have been deleted.
   */
  write(bytes: Buffer, before: (place: LogPlace) => void): void;
  /** Opens the path again, then closes the old file. On failure throws a CriError and keeps the old file. */
  reopen(): void;
  /**
   * Returns whether the `bytes` that an earlier crid was about to write at `place` are there; removes a partial write.
   */
  wasWritten(place: LogPlace, bytes: number): boolean;
  /** Reports trouble with the log that is not an error of its file. */
  tell(error: string): void;
  close(): void;
}

export interface LogFileOptions {
  readonly file: PathBeneath;
  /** Throws when the file cannot be opened; otherwise each write tries to open it again. */
  readonly mustOpen: boolean;
  readonly counter: LogCounter;
  readonly onTrouble: (error: string, droppedBytes: number) => void;
  /** Called at the first write that succeeds after failed ones. */
  readonly onRecovered: (droppedBytes: number) => void;
}

/** Opens the log for appending; creates the file (0640) and its directory (0755). */
export function openLogFile({ file, mustOpen, counter, onTrouble, onRecovered }: LogFileOptions): LogFile {
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
    if (failing !== now) counter.failing(now ? 1 : -1);
    failing = now;
  };

  /** Returns false when the file has been deleted: the written bytes are lost with it. */
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
    counter.dropped(bytes);
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
        counter.written(bytes.length);
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
    // A full disk took a part of the bytes: remove the part, or half a line would run into the next one.
    if (written > 0) ftruncateSync(fd, fstatSync(fd).size - written);
    throw thrown;
  }
}

/**
 * Searches the directory by inode number, since log rotation renames the file within it. Links and files that others
 * put there are neither followed nor opened.
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

/** Returns whether the file of `place` has all of the bytes; removes a partial write. */
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
