import { fstatSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { openDirectory, type Directory, type Entry } from './directory.js';

/**
 * The directories from a root down to the current one. Only the deepest `MAX_OPEN` have a descriptor, so that neither
 * descriptors nor PATH_MAX limit the depth of a tree.
 */
export interface Descent {
  /** The current directory. */
  here(): Directory;
  /** The depth of the current directory below the root. */
  depth(): number;
  next(): Entry | undefined;
  /** Enters a subdirectory of the current directory; no link is followed. */
  enter(name: Buffer): void;
  /** Goes back to the parent. ABORTED when the directory has been moved elsewhere meanwhile. */
  leave(): void;
  close(): void;
}

/** Starts at `root`, which the descent closes. */
export function createDescent(root: Directory): Descent {
  const levels: Level[] = [levelOf(root)];
  const lowest = (): Level => levels[levels.length - 1]!;
  const here = (): Directory => lowest().directory!;

  return {
    here,
    depth: () => levels.length - 1,
    next: () => here().next(),
    enter(name) {
      levels.push(levelOf(openDirectory(here().pathOf(name))));
      const far = levels[levels.length - 1 - MAX_OPEN];
      if (far?.directory === undefined) return;
      far.position = far.directory.position();
      far.directory.close();
      far.directory = undefined;
    },
    leave() {
      const left = levels.pop()?.directory;
      const above = lowest();
      try {
        above.directory ??= reopen(left!, above);
      } finally {
        left?.close();
      }
    },
    close() {
      for (const { directory } of levels.splice(0)) directory?.close();
    },
  };
}

/** Number of levels that have a descriptor and a buffer of 32 KiB each. */
const MAX_OPEN = 64;
const PARENT = Buffer.from('..');

interface Level {
  directory: Directory | undefined;
  /** The position at which reading continues when the directory is opened again. */
  position: bigint;
  readonly device: number;
  readonly inode: number;
}

function levelOf(directory: Directory): Level {
  const { dev, ino } = fstatSync(directory.fd);
  return { directory, position: 0n, device: dev, inode: ino };
}

function reopen(below: Directory, level: Level): Directory {
  const directory = openDirectory(below.pathOf(PARENT), { from: level.position });
  const { dev, ino } = fstatSync(directory.fd);
  if (dev === level.device && ino === level.inode) return directory;
  directory.close();
  throw new CriError('ABORTED', 'a directory was moved elsewhere meanwhile');
}
