import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** A file system whose server never responds, like a dead NFS or FUSE server. */
export interface HungMount {
  readonly path: string;
  /** Ends all calls that hang in the file system, with an error. Idempotent. */
  release(): void;
}

/** Mounts a hung file system on a directory: FUSE with this process as the server, which reads no request. */
export function mountHung(path: string): HungMount {
  const device = openSync('/dev/fuse', 'r+');
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
  const made = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'hung', path], {
    stdio: ['ignore', 'ignore', 'pipe', device],
  });
  if (made.status !== 0) {
    closeSync(device);
    throw new Error(`mount ${path}: ${made.stderr.toString()}`);
  }
  let isReleased = false;
  return {
    path,
    release() {
      if (isReleased) return;
      isReleased = true;
      closeSync(device);
      spawnSync('umount', ['-l', path]);
    },
  };
}
