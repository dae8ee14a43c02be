import { fstatSync, mkdirSync, lstatSync, symlinkSync, readlinkSync, linkSync, type BigIntStats } from 'node:fs';
import { AT_FDCWD } from '../syscall/common-calls.js';
import { errnoName } from '../syscall/errno.js';
import { call, systemCall } from '../syscall/libc.js';
import { copyFileContent } from './copy-file.js';
import { copyMetadata } from './copy-metadata.js';
import { createDescent } from './descent.js';
import { openDirectory, systemCallNumber } from './directory.js';
import { createHardLinks, type HardLinks } from './hard-links.js';

/**
 * Copies a directory's content, owner and mode onto an existing, empty directory: files, directories, symbolic links as
 * they are, hard links, FIFOs, sockets and device nodes, with owners, modes, times, and extended attributes where the
 * file system accepts them. Yields between any two entries and pieces of a file. No link below `source` is followed.
 */
export function* copyWalk(source: string, destination: string): Generator<void, void> {
  const from = createDescent(openDirectory(source, { follow: true }));
  const to = createDescent(openDirectory(destination));
  const links = createHardLinks(openDirectory(destination));
  try {
    for (;;) {
      yield;
      const entry = from.next();
      if (entry !== undefined) {
        const isDirectory = yield* copyEntry(
          from.here().pathOf(entry.name),
          to.here().pathOf(entry.name),
          links,
          entry.name,
        );
        if (!isDirectory) continue;
        from.enter(entry.name);
        to.enter(entry.name);
        links.enter(entry.name);
        continue;
      }
      const stats = fstatSync(from.here().fd, { bigint: true });
      copyMetadata(from.here().pathOf(HERE), to.here().pathOf(HERE), stats);
      if (from.depth() === 0) return;
      from.leave();
      to.leave();
      links.leave();
    }
  } finally {
    from.close();
    to.close();
    links.close();
  }
}

const HERE = Buffer.from('.');

/** Copies one entry and returns whether it is a directory; a directory is made empty. */
function* copyEntry(source: Buffer, target: Buffer, links: HardLinks, name: Buffer): Generator<void, boolean> {
  const stats = lstatSync(source, { bigint: true });
  if (stats.isDirectory()) {
    mkdirSync(target, 0o700);
    return true;
  }
  if (stats.nlink > 1n && linkToCopy(links.of(stats), target)) return false;
  if (stats.isSymbolicLink()) symlinkSync(readlinkSync(source, { encoding: 'buffer' }), target);
  else if (stats.isFile()) yield* copyFileContent(source, target, stats);
  else makeNode(target, stats);
  copyMetadata(source, target, stats);
  if (stats.nlink > 1n) links.keep(stats, name);
  return false;
}

function linkToCopy(first: Buffer | undefined, target: Buffer): boolean {
  if (first === undefined) return false;
  try {
    linkSync(first, target);
    return true;
  } catch (thrown) {
    // The target file system allows fewer links to one file: later names link to the next copy.
    if (errnoName(thrown) === 'EMLINK') return false;
    throw thrown;
  }
}

const mknodat = systemCall('mknodat', ['long', 'int', 'void *', 'uint', 'uint'], 'syscall', 'long');
// Majors that the kernel assigns have 12 bits; up to there its dev_t and the C library's have the same low 32 bits.
const DEVICE_BITS = 32;

/** Makes a FIFO, a socket or a device node; the runtime decides who may use a device (the devices cgroup). */
function makeNode(target: Buffer, { mode, rdev }: BigIntStats): void {
  const path = Buffer.concat([target, Buffer.alloc(1)]);
  const device = Number(BigInt.asUintN(DEVICE_BITS, rdev));
  call(mknodat, 'device node', systemCallNumber('mknodat'), AT_FDCWD, path, Number(mode), device);
}
