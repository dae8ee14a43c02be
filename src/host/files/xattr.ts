import { errnoError, errnoName } from '../syscall/errno.js';
import { lastErrno, systemCall } from '../syscall/libc.js';

/**
 * Copies extended attributes from one path to another, links not followed. Best effort: attributes that the target's
 * file system refuses are left out. Overlay's own attributes are left out too, and the SELinux label, which belongs to
 * the location and not to the file.
 */
export function copyXattrs(source: Buffer, target: Buffer): void {
  const [from, to] = [terminated(source), terminated(target)];
  for (const name of listXattrs(from)) {
    if (name === 'security.selinux' || name.startsWith('trusted.overlay.')) continue;
    const size = lgetxattr.sync(from, name, null, 0);
    if (size < 0 || size > MAX_BYTES) continue;
    const value = Buffer.alloc(size);
    if (lgetxattr.sync(from, name, value, size) === size) lsetxattr.sync(to, name, value, size, 0);
  }
}

/**
 * Sets an attribute of a path, a link not followed; returns false when the file system is read-only or does not support
 * it.
 */
export function setXattr(path: Buffer, name: string, value: string): boolean {
  const bytes = Buffer.from(`${value}\0`);
  if (lsetxattr.sync(terminated(path), name, bytes, bytes.length, 0) === 0) return true;
  const error = errnoError('lsetxattr', path.toString(), lastErrno());
  if (errnoName(error) === 'EOPNOTSUPP' || errnoName(error) === 'ENOTSUP' || errnoName(error) === 'EROFS') return false;
  throw error;
}

// The kernel's limits for one value and for the list of names (xattr(7)).
const MAX_BYTES = 65_536;

const llistxattr = systemCall('llistxattr', ['void *', 'void *', 'size_t'], 'llistxattr', 'long');
const lgetxattr = systemCall('lgetxattr', ['void *', 'const char *', 'void *', 'size_t'], 'lgetxattr', 'long');
const lsetxattr = systemCall('lsetxattr', ['void *', 'const char *', 'void *', 'size_t', 'int']);

function listXattrs(path: Buffer): string[] {
  const size = llistxattr.sync(path, null, 0);
  if (size <= 0 || size > MAX_BYTES) return [];
  const names = Buffer.alloc(size);
  const length = llistxattr.sync(path, names, size);
  return length <= 0 ? [] : names.toString('latin1', 0, length).split('\0').filter(Boolean);
}

const terminated = (path: Buffer): Buffer => Buffer.concat([path, Buffer.from([0])]);
