import { closeSync, openSync, readSync } from 'node:fs';
import { errnoName, fsError } from './errno.js';

/**
 * These files are made by the kernel as they are read, and never wait for a disk: reading one on the spot costs some
 * 10 µs, through the thread pool ten times that, and a buffer of 64 KiB each time, whatever is in it.
 */
const buffer = Buffer.allocUnsafe(64 * 1024);

/** The text of a file of a cgroup or of /proc; undefined when it, or what it tells of, is gone or not offered. */
export function readKernelFile(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    let length = 0;
    for (;;) {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      length += count;
      if (count === 0 || length === buffer.length) return buffer.toString('latin1', 0, length);
    }
  } catch (thrown) {
    // ENODEV, ESRCH: the cgroup or the process went after the open; EOPNOTSUPP: pressure is not accounted.
    if (['ENOENT', 'ENODEV', 'ESRCH', 'ENOTDIR', 'EOPNOTSUPP'].includes(errnoName(thrown) ?? '')) return undefined;
    throw fsError(thrown, path);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The number that a file consists of; undefined for `max` too. */
export function numberOf(text: string | undefined): bigint | undefined {
  const trimmed = text?.trim() ?? '';
  return /^\d+$/.test(trimmed) ? BigInt(trimmed) : undefined;
}

/** `key value` a line, as memory.stat and cpu.stat have it. */
export function fieldsOf(text: string): (key: string) => bigint | undefined {
  return (key) => {
    const start = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1;
    if (start === 0 && !text.startsWith(`${key} `)) return undefined;
    const end = text.indexOf('\n', start);
    return numberOf(text.slice(start + key.length + 1, end < 0 ? undefined : end));
  };
}
