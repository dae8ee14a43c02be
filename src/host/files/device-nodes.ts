import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { errnoName, fsError, translated } from '../syscall/errno.js';

/** A device node, in the terms of the OCI runtime spec (config-linux.md, "Devices"). */
export interface Device {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Returns the device or directory that `path` leads to, links followed; undefined for anything else. */
export async function statDevice(path: string): Promise<Device | 'directory' | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    if (found.isDirectory()) return 'directory';
    if (!found.isCharacterDevice() && !found.isBlockDevice()) return undefined;
    return {
      path,
      type: found.isCharacterDevice() ? 'c' : 'b',
      ...deviceNumbers(found.rdev),
      mode: Number(found.mode & 0o7777n),
      uid: Number(found.uid),
      gid: Number(found.gid),
    };
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT' || errnoName(thrown) === 'ENOTDIR') return undefined;
    throw fsError(thrown, path);
  }
}

/**
 * Returns the devices in and below a directory, sorted by path; their paths begin with `directory`. The directory
 * itself may be a link; links in it are skipped. Also skipped are entries that every container has of its own: pts,
 * shm, fd, mqueue, console. RESOURCE_EXHAUSTED past 16,384 entries.
 */
export async function listDevices(directory: string): Promise<Device[]> {
  const devices: Device[] = [];
  const pending = [{ path: directory, depth: 0 }];
  let seen = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path, depth } = next;
    for (const entry of await entriesOf(path, depth)) {
      if ((seen += 1) > MAX_ENTRIES) throw tooMany(directory);
      const child = join(path, entry.name);
      if (entry.isDirectory()) {
        if (!SKIPPED_DIRECTORIES.has(entry.name) && depth < MAX_DEPTH) pending.push({ path: child, depth: depth + 1 });
      } else if ((entry.isCharacterDevice() || entry.isBlockDevice()) && entry.name !== 'console') {
        const device = await statDevice(child);
        if (device !== undefined && device !== 'directory') devices.push(device);
      }
    }
  }
  return devices.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const SKIPPED_DIRECTORIES = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev']);
const MAX_ENTRIES = 16_384;
const MAX_DEPTH = 16;

// The C library's own split of dev_t (makedev(3)): the low 12 bits of the major lie between the halves of the minor.
const deviceNumbers = (rdev: bigint): { major: number; minor: number } => ({
  major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
  minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
});

const tooMany = (directory: string): CriError =>
  new CriError('RESOURCE_EXHAUSTED', `list devices ${directory}: more than ${MAX_ENTRIES} entries`);

async function entriesOf(path: string, depth: number) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (thrown) {
    // udev removes directories while they are being listed.
    if (depth > 0 && errnoName(thrown) === 'ENOENT') return [];
    return translated(path, () => Promise.reject(thrown as Error));
  }
}
