import { constants, release } from 'node:os';
import { KERNEL_CALLS, whyMissing, type KernelCall } from './kernel-calls.js';
import { lastErrno, numberedCall } from './libc.js';

/** The running kernel's version, as uname(2) has it. */
export const kernelRelease = (): string => release();

/** What this node cannot do for want of system calls, a sentence for each call that the kernel does not have. */
export const kernelProblems = (isThere: (call: KernelCall) => boolean = hasCall): string[] =>
  KERNEL_CALLS.filter((call) => !isThere(call)).map(
    ({ name, neededFor }) => `Linux ${kernelRelease()}: ${whyMissing(name)}; needed for ${neededFor}`,
  );

const probe = numberedCall('probe', ['long', 'long', 'long', 'long', 'long', 'long']);
const NO_DESCRIPTOR = -1;

/** Called with arguments that no kernel accepts, so that nothing happens: only the error tells. */
function hasCall({ number }: KernelCall): boolean {
  const nothing = probe.sync(number, NO_DESCRIPTOR, 0, 0, 0, 0, 0) !== -1;
  return nothing || lastErrno() !== constants.errno.ENOSYS;
}
