import { closeSync, openSync, readSync } from 'node:fs';
import { errnoName, fsError } from '../syscall/errno.js';

/**
 * The kernel generates these files when they are read, so a read never waits for a disk. A synchronous read costs about
 * 10 µs; through the thread pool it costs ten times that, and a buffer of 64 KiB per read, whatever the file's size.
 */
const buffer = Buffer.allocUnsafe(64 * 1024);

/**
 * Returns the text of a file of a cgroup or of /proc, at most 64 KiB; undefined when the file, its cgroup or its
 * process is gone, or the kernel does not offer it.
 */
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
    // ENODEV, ESRCH: the cgroup or the process vanished after the open; EOPNOTSUPP: pressure is not accounted.
    if (['ENOENT', 'ENODEV', 'ESRCH', 'ENOTDIR', 'EOPNOTSUPP'].includes(errnoName(thrown) ?? '')) return undefined;
    throw fsError(thrown, path);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Returns the number in a file's text; undefined for `max` and for other text. */
export function numberOf(text: string | undefined): bigint | undefined {
  const trimmed = text?.trim() ?? '';
  return /^\d+$/.test(trimmed) ? BigInt(trimmed) : undefined;
}

/** Returns a lookup of the value of a key, in text with lines of `key value` such as memory.stat and cpu.stat. */
export function fieldsOf(text: string): (key: string) => bigint | undefined {
  return (key) => {
    const start = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1;
    if (start === 0 && !text.startsWith(`${key} `)) return undefined;
    const end = text.indexOf('\n', start);
    return numberOf(text.slice(start + key.length + 1, end < 0 ? undefined : end));
  };
}
