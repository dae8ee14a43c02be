import type { BigIntStats } from 'node:fs';
import type { Directory } from './directory.js';

/** The first copy of each source file that has more than one name. */
export interface HardLinks {
  /** Returns the path of the file's first copy; undefined when there is none, or it was not remembered. */
  of(stats: BigIntStats): Buffer | undefined;
  /** Remembers that `name` in the current directory is the file's copy. */
  keep(stats: BigIntStats, name: Buffer): void;
  enter(name: Buffer): void;
  leave(): void;
  close(): void;
}

/** Beyond these limits a further name of a file becomes a separate copy, which costs disk space but no memory. */
const MAX_FILES = 65_536;
const MAX_PATH_BYTES = 1_024;

/** `root`: the target directory of the copy, which `close` closes. */
export function createHardLinks(root: Directory): HardLinks {
  const first = new Map<string, { readonly path: Buffer; left: bigint }>();
  const folders: Buffer[] = [];
  const slash = Buffer.from('/');

  return {
    of(stats) {
      const key = keyOf(stats);
      const found = first.get(key);
      if (found === undefined) return undefined;
      found.left -= 1n;
      if (found.left === 0n) first.delete(key);
      return found.path;
    },
    keep(stats, name) {
      if (first.size >= MAX_FILES) return;
      const path = root.pathOf(Buffer.concat([...folders.flatMap((folder) => [folder, slash]), name]));
      if (path.length <= MAX_PATH_BYTES) first.set(keyOf(stats), { path, left: stats.nlink - 1n });
    },
    enter: (name) => void folders.push(name),
    leave: () => void folders.pop(),
    close: () => root.close(),
  };
}

const keyOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;
