import { readFileSync } from 'node:fs';
import { invalidArgument, isCode } from '../../base/errors.js';
import { parseExactJson } from '../../base/exact-json.js';
import { lookAt } from '../files/foreign-paths.js';
import { readRegularFile } from '../files/regular-file.js';

/** Returns whether the kernel can filter system calls: it then shows a `Seccomp:` line for every process. */
export const seccompAvailable = (): boolean => /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'));

/** The largest profiles list about 500 calls, in 32 KiB. */
const MAX_PROFILE_BYTES = 1024 * 1024;

/**
 * Returns the JSON of a Localhost seccomp profile. INVALID_ARGUMENT, with `field` and the path, when the profile cannot
 * be used; UNAVAILABLE as in `lookAt`.
 */
export async function readSeccompProfile(path: string, field: string): Promise<unknown> {
  try {
    const bytes = await lookAt('seccomp profile', path, () => readRegularFile(path, MAX_PROFILE_BYTES));
    return parseExactJson(bytes.toString('utf8'));
  } catch (thrown) {
    if (isCode(thrown, 'UNAVAILABLE')) throw thrown;
    throw invalidArgument(field, `"${path}" cannot be used: ${(thrown as Error).message}`);
  }
}
