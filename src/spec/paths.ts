import { posix } from 'node:path';

/** A path in its shortest form: no `//`, no `.`, no slash at the end. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** The path itself when it is absolute, otherwise from the root. `..` and links stay: the runtime resolves them inside. */
export const fromRoot = (path: string): string => (path.startsWith('/') ? path : `/${path}`);
