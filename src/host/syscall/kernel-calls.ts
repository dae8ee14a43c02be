/** A system call that crid makes and that some kernels on which containerd runs do not have. */
export interface KernelCall {
  readonly name: string;
  readonly number: number;
  /** The first Linux version that has it. */
  readonly since: string;
  /** The features that fail without it. */
  readonly neededFor: string;
}

const ROOTFS = 'every container that is created (crid reads the user and the VOLUMEs from its root file system)';
const VOLUMES = 'images as volumes, user namespaces, and snapshotters that bind (native, btrfs)';

/** Their numbers are the same on every architecture. */
export const KERNEL_CALLS: readonly KernelCall[] = [
  { name: 'open_tree', number: 428, since: '5.2', neededFor: VOLUMES },
  { name: 'move_mount', number: 429, since: '5.2', neededFor: VOLUMES },
  { name: 'fsopen', number: 430, since: '5.2', neededFor: ROOTFS },
  { name: 'fsconfig', number: 431, since: '5.2', neededFor: ROOTFS },
  { name: 'fsmount', number: 432, since: '5.2', neededFor: ROOTFS },
  { name: 'openat2', number: 437, since: '5.6', neededFor: ROOTFS },
  { name: 'mount_setattr', number: 442, since: '5.12', neededFor: VOLUMES },
];

/** Returns `this kernel has no openat2, which came with Linux 5.6`; undefined for a call that every kernel has. */
export function whyMissing(name: string): string | undefined {
  const known = KERNEL_CALLS.find((call) => call.name === name);
  return known && `this kernel has no ${name}, which came with Linux ${known.since}`;
}
