import { constants, type BigIntStats } from 'node:fs';
import {
  chmod,
  copyFile,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  symlink,
} from 'node:fs/promises';
import { CriError } from '../base/errors.js';
import { translated } from './errno.js';
import { copyXattrs } from './xattr.js';

/**
 * Copies a directory's content, owner and mode onto an existing, empty directory: files, directories, links as they
 * are, hard links among them, owners, modes, times, and extended attributes where the file system takes them. Devices,
 * FIFOs and sockets are left out. No link below `source` is followed.
 */
export async function copyTreeInto(source: string, destination: string): Promise<void> {
  const walk: Walk = { hardLinks: new Map(), entries: 0 };
  await translated(destination, async () => {
    const stats = await lstat(`${source}/.`, { bigint: true });
    await copyContent(Buffer.from(source), Buffer.from(destination), walk, 0);
    await copyMetadata(Buffer.from(`${source}/.`), Buffer.from(destination), stats);
  });
}

interface Walk {
  /** Inode → the first copy of it. */
  readonly hardLinks: Map<bigint, Buffer>;
  entries: number;
}

const MAX_DEPTH = 512;
const MAX_ENTRIES = 1_000_000;

async function copyContent(source: Buffer, destination: Buffer, walk: Walk, depth: number): Promise<void> {
  if (depth > MAX_DEPTH) throw new CriError('RESOURCE_EXHAUSTED', `copy ${destination.toString()}: too deep`);
  // One descriptor a level: a long path, or one that is swapped for a link meanwhile, cannot lead elsewhere.
  const directory = await open(source, constants.O_RDONLY | constants.O_DIRECTORY | followFor(depth));
  try {
    const here = `/proc/self/fd/${directory.fd}`;
    // latin1: a name is bytes, not always UTF-8.
    for (const name of await readdir(here, { encoding: 'latin1' })) {
      if ((walk.entries += 1) > MAX_ENTRIES) {
        throw new CriError('RESOURCE_EXHAUSTED', `copy ${destination.toString()}: more than ${MAX_ENTRIES} files`);
      }
      await copyEntry(join(Buffer.from(here), name), join(destination, name), walk, depth);
    }
  } finally {
    await directory.close();
  }
}

async function copyEntry(source: Buffer, target: Buffer, walk: Walk, depth: number): Promise<void> {
  const stats = await lstat(source, { bigint: true });
  if (stats.isDirectory()) {
    await mkdir(target, 0o700);
    await copyContent(source, target, walk, depth + 1);
  } else if (stats.isSymbolicLink()) {
    await symlink(await readlink(source, { encoding: 'buffer' }), target);
  } else if (stats.isFile()) {
    const first = walk.hardLinks.get(stats.ino);
    if (first !== undefined) return link(first, target);
    if (stats.nlink > 1n) walk.hardLinks.set(stats.ino, target);
    await copyContentOfFile(source, target);
  } else {
    return;
  }
  await copyMetadata(source, target, stats);
}

async function copyContentOfFile(source: Buffer, target: Buffer): Promise<void> {
  const file = await open(source, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    await copyFile(`/proc/self/fd/${file.fd}`, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  } finally {
    await file.close();
  }
}

// The order matters: chown clears setuid bits and file capabilities, and everything changes the times.
async function copyMetadata(source: Buffer, target: Buffer, stats: BigIntStats): Promise<void> {
  await lchown(target, Number(stats.uid), Number(stats.gid));
  if (!stats.isSymbolicLink()) await chmod(target, Number(stats.mode & 0o7777n));
  copyXattrs(source, target);
  await lutimes(target, Number(stats.atimeNs) / 1e9, Number(stats.mtimeNs) / 1e9);
}

// The start is a descriptor's own link in /proc, which must be followed; below it, none.
const followFor = (depth: number): number => (depth === 0 ? 0 : constants.O_NOFOLLOW);

const join = (directory: Buffer, name: string): Buffer =>
  Buffer.concat([directory, Buffer.from('/'), Buffer.from(name, 'latin1')]);
