import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { translated } from '../syscall/errno.js';

/** A line of /proc/self/mountinfo (proc_pid_mountinfo(5)), escapes undone. */
export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  /** `major:minor` of st_dev. */
  readonly device: string;
  /** The directory of the file system that is the root of this mount. */
  readonly root: string;
  readonly mountPoint: string;
  /** Per-mount options: `ro`, `nosuid`, … */
  readonly options: readonly string[];
  /** The peer group that the mount shares events with; undefined: not shared. */
  readonly sharedId: number | undefined;
  /** The peer group that the mount receives events from; undefined: not a slave. */
  readonly masterId: number | undefined;
  readonly unbindable: boolean;
  readonly fstype: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Returns all mounts of this mount namespace, in the order in which they were made. */
export async function readMountInfo(): Promise<MountInfo[]> {
  const text = await translated('/proc/self/mountinfo', () => readFile('/proc/self/mountinfo', 'utf8'));
  return parseMountInfo(text);
}

/** Returns the mounts of at most a second ago; empty when they cannot be read. Reading them contacts no file server. */
export function recentMounts(): Promise<readonly MountInfo[]> {
  if (recent === undefined || performance.now() - recent.atMs > RECENT_MS) {
    recent = { atMs: performance.now(), mounts: readMountInfo().catch(() => []) };
  }
  return recent.mounts;
}

const RECENT_MS = 1_000;
let recent: { readonly atMs: number; readonly mounts: Promise<readonly MountInfo[]> } | undefined;

export const parseMountInfo = (text: string): MountInfo[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine);

/**
 * Returns the mount that contains an absolute, clean path; undefined only when `infos` lacks the root. Of mounts
 * stacked on one mount point the last is the visible one.
 */
export function mountOf(path: string, infos: readonly MountInfo[]): MountInfo | undefined {
  let best: MountInfo | undefined;
  for (const info of infos) {
    if (!isWithin(path, info.mountPoint)) continue;
    if (best === undefined || info.mountPoint.length >= best.mountPoint.length) best = info;
  }
  return best;
}

/** `mountOf` for many paths: it reads `infos` once. */
export function mountFinder(infos: readonly MountInfo[]): (path: string) => MountInfo | undefined {
  const byMountPoint = new Map(infos.map((info) => [info.mountPoint, info]));
  const find = (path: string): MountInfo | undefined => {
    const found = byMountPoint.get(path);
    const parent = dirname(path);
    return found === undefined && parent !== path ? find(parent) : found;
  };
  return find;
}

/** Returns whether `path` is `directory` or is below it; both must be absolute and clean. */
export const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);

function parseLine(line: string): MountInfo {
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  const optional = fields.slice(6, dash);
  const field = (index: number): string => unescapeOctal(fields[index] ?? '');
  return {
    id: Number(fields[0]),
    parentId: Number(fields[1]),
    device: field(2),
    root: field(3),
    mountPoint: field(4),
    options: field(5).split(','),
    sharedId: peerGroup(optional, 'shared:'),
    masterId: peerGroup(optional, 'master:'),
    unbindable: optional.includes('unbindable'),
    fstype: field(dash + 1),
    source: field(dash + 2),
    superOptions: field(dash + 3).split(','),
  };
}

function peerGroup(optional: readonly string[], tag: string): number | undefined {
  const found = optional.find((value) => value.startsWith(tag));
  return found === undefined ? undefined : Number(found.slice(tag.length));
}

// The kernel escapes space, tab, newline and backslash, byte by byte: \040 \011 \012 \134.
const unescapeOctal = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
