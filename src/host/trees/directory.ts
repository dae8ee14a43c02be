import { closeSync, constants, openSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { lseek } from '../syscall/common-calls.js';
import { call, systemCall } from '../syscall/libc.js';

/** A name in a directory. `name` is bytes, which need not be UTF-8. */
export interface Entry {
  readonly name: Buffer;
  /** The type that the file system reports: DT_DIR of readdir(3), or DT_UNKNOWN, among others. */
  readonly type: number;
}

/** An open directory. Its entries are read piece by piece, so that memory does not depend on their number. */
export interface Directory {
  readonly fd: number;
  /** Undefined at the end. */
  next(): Entry | undefined;
  /** The position of the next entry, for `openDirectory`. */
  position(): bigint;
  /** Goes back to the first entry. */
  rewind(): void;
  /** Returns the path of an entry. The kernel resolves it from the descriptor, even if a parent is moved. */
  pathOf(name: Buffer): Buffer;
  close(): void;
}

export const DT_UNKNOWN = 0;
export const DT_DIR = 4;

/** Opens a directory, read from position `from`; a link in the last component is not followed, unless `follow`. */
export function openDirectory(path: string | Buffer, options: { from?: bigint; follow?: boolean } = {}): Directory {
  const { from = 0n, follow = false } = options;
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | (follow ? 0 : constants.O_NOFOLLOW));
  const prefix = Buffer.from(`/proc/self/fd/${fd}/`);
  const entries = readEntries(fd, from);
  return {
    fd,
    ...entries,
    pathOf: (name) => Buffer.concat([prefix, name]),
    close: () => closeSync(fd),
  };
}

const BUFFER_BYTES = 32 * 1024;
const SEEK_SET = 0;

// glibc has a wrapper for it only since 2.30.
const getdents = systemCall('getdents64', ['long', 'int', 'void *', 'size_t'], 'syscall', 'long');

function readEntries(fd: number, start: bigint): Pick<Directory, 'next' | 'position' | 'rewind'> {
  const subject = `directory ${fd}`;
  let buffer: Buffer | undefined;
  /** Offsets in the buffer: the next entry, the end, and the entry that was returned last. */
  let at = 0;
  let end = 0;
  let last: number | undefined;
  /** The position of the buffer's first entry in the directory. */
  let from = start;

  const position = (): bigint => (last === undefined ? from : buffer!.readBigInt64LE(last + OFFSET_AT));
  const fill = (): Buffer => {
    if (buffer === undefined && start !== 0n) call(lseek, subject, fd, start, SEEK_SET);
    from = position();
    buffer ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
    end = call(getdents, subject, systemCallNumber('getdents64'), fd, buffer, buffer.length);
    at = 0;
    last = undefined;
    return buffer;
  };

  return {
    position,
    next() {
      for (;;) {
        const bytes = at < end ? buffer! : fill();
        if (end === 0) return undefined;
        last = at;
        at += bytes.readUInt16LE(last + LENGTH_AT);
        const name = bytes.subarray(last + NAME_AT, bytes.indexOf(0, last + NAME_AT));
        if (!isDots(name)) return { name: Buffer.from(name), type: bytes.readUInt8(last + TYPE_AT) };
      }
    },
    rewind() {
      call(lseek, subject, fd, 0, SEEK_SET);
      [at, end, last, from] = [0, 0, undefined, 0n];
    },
  };
}

// struct linux_dirent64 of getdents(2).
const OFFSET_AT = 8;
const LENGTH_AT = 16;
const TYPE_AT = 18;
const NAME_AT = 19;

const DOT = 0x2e;
const isDots = (name: Buffer): boolean =>
  name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));

/**
 * Returns the number of a call that older C libraries have no wrapper for. UNIMPLEMENTED for an unknown architecture.
 */
export function systemCallNumber(name: 'getdents64' | 'mknodat'): number {
  const number = NUMBERS[name][process.arch];
  if (number === undefined) throw new CriError('UNIMPLEMENTED', `${name}: its number on ${process.arch} is not known`);
  return number;
}

const NUMBERS: Readonly<Record<'getdents64' | 'mknodat', Readonly<Record<string, number>>>> = {
  getdents64: { x64: 217, arm64: 61, riscv64: 61, loong64: 61, ppc64: 202 },
  mknodat: { x64: 259, arm64: 33, riscv64: 33, loong64: 33, ppc64: 288 },
};
