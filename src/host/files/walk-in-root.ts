import { closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import { O_PATH } from '../syscall/common-calls.js';
import { fsError } from '../syscall/errno.js';

const MAX_LINKS = 40;

/**
 * Opens a path below a directory (O_PATH) with every link resolved inside it, as openat2(2) does with RESOLVE_IN_ROOT:
 * for kernels without that call. The kernel follows no link: each part is opened with O_NOFOLLOW, `..` returns to the
 * directory that the walk came from, and at the root it stays there.
 */
export function walkInRoot(root: number, path: string, flags: number): number {
  const followsLast = (flags & constants.O_NOFOLLOW) === 0;
  const way: number[] = [];
  const parts = path.split('/');
  let links = 0;
  try {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        closeAll(way.splice(-1));
        continue;
      }
      const below = `/proc/self/fd/${way.at(-1) ?? root}/${part}`;
      const fd = openSync(below, O_PATH | constants.O_NOFOLLOW);
      way.push(fd);
      const isLast = parts.every((each) => each === '');
      if (!fstatSync(fd).isSymbolicLink() || (isLast && !followsLast)) continue;
      if (++links > MAX_LINKS) throw coded('ELOOP', path);
      closeAll(way.splice(-1));
      const target = readlinkSync(below);
      if (target.startsWith('/')) closeAll(way.splice(0));
      parts.unshift(...target.split('/'));
    }
    return finish(way.pop(), root, path, flags);
  } catch (thrown) {
    throw fsError(thrown, path);
  } finally {
    closeAll(way);
  }
}

function finish(found: number | undefined, root: number, path: string, flags: number): number {
  const fd = found ?? openSync(`/proc/self/fd/${root}/.`, O_PATH | constants.O_DIRECTORY);
  const mustBeDirectory = (flags & constants.O_DIRECTORY) !== 0 || path.endsWith('/');
  if (!mustBeDirectory || fstatSync(fd).isDirectory()) return fd;
  closeSync(fd);
  throw coded('ENOTDIR', path);
}

const coded = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${path}`), { code, syscall: 'open', path });

const closeAll = (fds: readonly number[]): void => {
  for (const fd of fds) closeSync(fd);
};
