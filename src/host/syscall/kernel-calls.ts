/**
 * A system call that crid makes and that some kernels on which containerd runs do not have. Without openat2 (Linux 5.6)
 * nothing fails, and without these calls little does: there is another way to read a root file system.
 */
export interface KernelCall {
  readonly name: string;
  readonly number: number;
  /** The first Linux version that has it. */
  readonly since: string;
  /** The features that fail without it. */
  readonly neededFor: string;
}

const MAPPED = 'images as volumes of a pod with a user namespace';

/** Their numbers are the same on every architecture. */
export const KERNEL_CALLS: readonly KernelCall[] = [
  { name: 'open_tree', number: 428, since: '5.2', neededFor: MAPPED },
  { name: 'move_mount', number: 429, since: '5.2', neededFor: MAPPED },
  { name: 'fsopen', number: 430, since: '5.2', neededFor: MAPPED },
  { name: 'fsconfig', number: 431, since: '5.2', neededFor: MAPPED },
  { name: 'fsmount', number: 432, since: '5.2', neededFor: MAPPED },
  { name: 'mount_setattr', number: 442, since: '5.12', neededFor: MAPPED },
];

/** Returns `this kernel has no open_tree, which came with Linux 5.2`; undefined for a call that every kernel has. */
export function whyMissing(name: string): string | undefined {
  const known = KERNEL_CALLS.find((call) => call.name === name);
  return known && `this kernel has no ${name}, which came with Linux ${known.since}`;
}
