import { CriError } from '../base/errors.js';

/** One mount of a snapshot, as containerd's Snapshots service gives it (containerd.v1.types.Mount). */
export interface RootfsMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

export interface RootfsStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
}

/** A container's root file system, opened without a mount anyone else sees; every link in it is resolved inside it. */
export interface Rootfs {
  /** Undefined when missing or not a regular file; RESOURCE_EXHAUSTED when larger than `maxBytes`. */
  readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** Follows links inside the rootfs; undefined when missing. */
  stat(path: string): Promise<RootfsStat | undefined>;
  /** Does not follow a link in the last component; undefined when missing. */
  lstat(path: string): Promise<RootfsStat | undefined>;
  /** Whether the path leads to something inside the rootfs. */
  exists(path: string): Promise<boolean>;
  /** Copies the content of the directory `path` into the existing directory `destination`; false when it is not there. */
  copyTree(path: string, destination: string): Promise<boolean>;
  /** Idempotent. */
  close(): void;
}

export async function openRootfs(_mounts: readonly RootfsMount[]): Promise<Rootfs> {
  throw new CriError('UNIMPLEMENTED', 'openRootfs');
}
