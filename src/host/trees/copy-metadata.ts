import { chmodSync, lchownSync, type BigIntStats } from 'node:fs';
import { copyXattrs } from '../files/xattr.js';
import { AT_FDCWD } from '../syscall/common-calls.js';
import { call, systemCall } from '../syscall/libc.js';

/** Gives a copy the owner, the mode, the extended attributes and the times of its source, to the nanosecond. */
export function copyMetadata(source: Buffer, target: Buffer, stats: BigIntStats): void {
  // The order matters: chown clears setuid bits and file capabilities, and other changes update the times.
  if (stats.uid !== OWN_UID || stats.gid !== OWN_GID) lchownSync(target, Number(stats.uid), Number(stats.gid));
  if (!stats.isSymbolicLink()) chmodSync(target, Number(stats.mode & 0o7777n));
  copyXattrs(source, target);
  const times = new BigInt64Array([stats.atimeNs, stats.mtimeNs].flatMap(timespec));
  call(utimensat, 'times', AT_FDCWD, Buffer.concat([target, Buffer.alloc(1)]), times, AT_SYMLINK_NOFOLLOW);
}

/** New files have these owners already: a directory gets its setgid bit only after its entries are made. */
const OWN_UID = BigInt(process.geteuid?.() ?? -1);
const OWN_GID = BigInt(process.getegid?.() ?? -1);
const NS_PER_S = 1_000_000_000n;
const AT_SYMLINK_NOFOLLOW = 0x100;

const utimensat = systemCall('utimensat', ['int', 'void *', 'void *', 'int']);

/** struct timespec, whose nanoseconds are positive, even before 1970. */
function timespec(timeNs: bigint): [bigint, bigint] {
  const ns = ((timeNs % NS_PER_S) + NS_PER_S) % NS_PER_S;
  return [(timeNs - ns) / NS_PER_S, ns];
}
