import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A disk that can stall: writes to it block until it continues. */
export interface StallingDisk {
  readonly path: string;
  stall(): void;
  /** Idempotent. */
  goOn(): void;
  /** Continues, and unmounts the disk. Idempotent. */
  remove(): void;
}

const SIZE_BYTES = 32 * 1024 * 1024;

/** Creates a stalling disk in a folder: ext4 in a file, frozen with fsfreeze(8). */
export function makeStallingDisk(folder: string): StallingDisk {
  const [image, path] = [join(folder, 'disk.ext4'), join(folder, 'disk')];
  writeFileSync(image, '');
  truncateSync(image, SIZE_BYTES);
  mkdirSync(path);
  run('mkfs.ext4', '-q', image);
  run('mount', '-o', 'loop', image, path);
  let [stalled, removed] = [false, false];
  const goOn = (): void => {
    if (stalled) run('fsfreeze', '-u', path);
    stalled = false;
  };
  return {
    path,
    stall() {
      run('fsfreeze', '-f', path);
      stalled = true;
    },
    goOn,
    remove() {
      if (removed) return;
      removed = true;
      goOn();
      run('umount', '-l', path);
      rmSync(image);
    },
  };
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}
