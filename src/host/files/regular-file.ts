import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { CriError } from '../../base/errors.js';
import { O_PATH } from '../syscall/common-calls.js';
import { translated } from '../syscall/errno.js';

/**
 * Reads a whole regular file, links followed. FAILED_PRECONDITION for any other file, which is not opened: opening a
 * FIFO would hang, and opening a device may have side effects. RESOURCE_EXHAUSTED for more than `maxBytes`.
 */
export const readRegularFile = (path: string, maxBytes: number): Promise<Buffer> =>
  translated(path, async () => {
    const file = await open(path, O_PATH);
    try {
      const found = await file.stat();
      if (!found.isFile()) throw new CriError('FAILED_PRECONDITION', `read ${path}: not a regular file`);
      return await readDescriptor(file.fd, path, maxBytes);
    } finally {
      await file.close();
    }
  });

/**
 * Reads the whole regular file of a descriptor, with or without O_PATH; `path` is for the error. RESOURCE_EXHAUSTED for
 * more than `maxBytes`.
 */
function readDescriptor(fd: number, path: string, maxBytes: number): Promise<Buffer> {
  return translated(path, async () => {
    const file = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const buffer = Buffer.alloc(Math.min((await file.stat()).size, maxBytes) + 1);
      let length = 0;
      for (let count = -1; count !== 0 && length < buffer.length; length += count) {
        ({ bytesRead: count } = await file.read(buffer, length, buffer.length - length, length));
      }
      if (length > maxBytes) throw new CriError('RESOURCE_EXHAUSTED', `read ${path}: larger than ${maxBytes} bytes`);
      return buffer.subarray(0, length);
    } finally {
      await file.close();
    }
  });
}

const PIECE_BYTES = 64 * 1024;

/**
 * Passes the content of a regular file, given as a descriptor, to `take` piece by piece, until `take` returns false. A
 * piece is only valid during the call. An aborted `signal` ends the reading between two pieces.
 */
export function readDescriptorPieces(
  fd: number,
  path: string,
  take: (bytes: Uint8Array) => boolean,
  signal?: AbortSignal,
): Promise<void> {
  return translated(path, async () => {
    const file = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
      for (let at = 0; ;) {
        signal?.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0 || !take(buffer.subarray(0, bytesRead))) return;
        at += bytesRead;
      }
    } finally {
      await file.close();
    }
  });
}

/** Node has no constant for it. */
