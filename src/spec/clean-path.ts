import { posix } from 'node:path';

/** Returns the shortest form of a path: no `//`, no `.`, no slash at the end. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** Returns the number of a path's components. */
export const depthOf = (path: string): number => cleanPath(path).split('/').filter(Boolean).length;

/** Returns an absolute path; a relative one gets a `/`. The runtime resolves `..` and links inside the rootfs. */
export const fromRoot = (path: string): string => (path.startsWith('/') ? path : `/${path}`);
