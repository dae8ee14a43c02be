import {
  closeSync,
  constants,
  copyFileSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
  type BigIntStats,
} from 'node:fs';
import { lseek } from '../syscall/common-calls.js';
import { errnoName } from '../syscall/errno.js';
import { lastErrno } from '../syscall/libc.js';

/**
 * Copies the content of a regular file into a new one; yields between the pieces of a large one, in which holes stay
 * holes.
 */
export function* copyFileContent(source: Buffer, target: Buffer, { size }: BigIntStats): Generator<void, void> {
  const file = openSync(source, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const path = `/proc/self/fd/${file}`;
  try {
    if (size <= BigInt(SMALL_BYTES)) {
      copySmall(file, target);
    } else if (size <= BigInt(MAX_WHOLE_BYTES)) {
      copyFileSync(path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    } else if (!cloned(path, target)) {
      yield* copyPieces(file, target, Number(size));
    }
  } finally {
    closeSync(file);
  }
}

const SMALL_BYTES = 64 * 1024;
const MAX_WHOLE_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

let small: Buffer | undefined;

/** For small files, which are most files: half as many system calls as `copyFile`. */
function copySmall(file: number, target: Buffer): void {
  small ??= Buffer.allocUnsafeSlow(SMALL_BYTES);
  const copy = openSync(target, 'wx', 0o600);
  try {
    for (let count = readSync(file, small); count > 0; count = readSync(file, small)) {
      for (let done = 0; done < count;) done += writeSync(copy, small, done, count - done);
    }
  } finally {
    closeSync(copy);
  }
}

/** Shares the blocks of the two files; returns false when the file system cannot. */
function cloned(path: string, target: Buffer): boolean {
  try {
    copyFileSync(path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (thrown) {
    if (errnoName(thrown) === 'EEXIST' || errnoName(thrown) === 'ENOSPC') throw thrown;
    return false;
  }
}

const SEEK_DATA = 3;
const ENXIO = 6;

function* copyPieces(file: number, target: Buffer, size: number): Generator<void, void> {
  const copy = openSync(target, 'wx', 0o600);
  try {
    ftruncateSync(copy, size);
    const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
    for (let at = nextData(file, 0, size); at < size; at = nextData(file, at, size)) {
      const count = readSync(file, buffer, 0, buffer.length, at);
      if (count === 0) return;
      for (let done = 0; done < count;) done += writeSync(copy, buffer, done, count - done, at + done);
      at += count;
      yield;
    }
  } finally {
    closeSync(copy);
  }
}

/** Returns the offset of the next byte outside a hole. Without SEEK_DATA support every byte counts as such. */
function nextData(file: number, from: number, size: number): number {
  const found = lseek.sync(file, from, SEEK_DATA);
  if (found >= 0) return found;
  return lastErrno() === ENXIO ? size : from;
}
