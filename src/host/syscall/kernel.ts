import { constants, release } from 'node:os';
import { KERNEL_CALLS, whyMissing, type KernelCall } from './kernel-calls.js';
import { isAbsent, lastErrno, numberedCall } from './libc.js';

/** The running kernel's version, from uname(2). */
export const kernelRelease = (): string => release();

/** Returns one sentence for each system call that the kernel lacks, with what it is needed for. */
export const kernelProblems = (isThere: (call: KernelCall) => boolean = hasCall): string[] =>
  KERNEL_CALLS.filter((call) => !isThere(call)).map(
    ({ name, neededFor }) => `Linux ${kernelRelease()}: ${whyMissing(name)}; needed for ${neededFor}`,
  );

const probe = numberedCall('probe', ['long', 'long', 'long', 'long', 'long', 'long']);
const NO_DESCRIPTOR = -1;

/** Makes the call with arguments that no kernel accepts, so that it has no effect: only the error counts. */
function hasCall({ name, number }: KernelCall): boolean {
  if (isAbsent(name)) return false;
  const nothing = probe.sync(number, NO_DESCRIPTOR, 0, 0, 0, 0, 0) !== -1;
  return nothing || lastErrno() !== constants.errno.ENOSYS;
}
