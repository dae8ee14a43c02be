import { posix } from 'node:path';

/** Returns the shortest form of a path: no `//`, no `.`, no slash at the end. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** Returns an absolute path; a relative one gets a `/`. The runtime resolves `..` and links inside the rootfs. */
export const fromRoot = (path: string): string => (path.startsWith('/') ? path : `/${path}`);
