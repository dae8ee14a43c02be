import { readFileSync } from 'node:fs';
import { invalidArgument, isCode } from '../base/errors.js';
import { lookAt } from './looks.js';
import { readRegularFile } from './regular-file.js';

/** Whether the kernel can filter system calls: it shows a `Seccomp:` line for every process then. */
export const seccompAvailable = (): boolean => /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'));

/** The largest profiles list some 500 calls, in 32 KiB. */
const MAX_PROFILE_BYTES = 1024 * 1024;

/** The JSON of a Localhost seccomp profile; undefined for no path. INVALID_ARGUMENT names `field` and the file; UNAVAILABLE: see `lookAt`. */
export async function readSeccompProfile(path: string | undefined, field: string): Promise<unknown> {
  if (path === undefined) return undefined;
  try {
    const bytes = await lookAt('seccomp profile', path, () => readRegularFile(path, MAX_PROFILE_BYTES));
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (thrown) {
    if (isCode(thrown, 'UNAVAILABLE')) throw thrown;
    throw invalidArgument(field, `"${path}" cannot be used: ${(thrown as Error).message}`);
  }
}
