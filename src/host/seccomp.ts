import { readFileSync } from 'node:fs';
import { invalidArgument } from '../base/errors.js';
import { readRegularFile } from './regular-file.js';

/** Whether the kernel can filter system calls: it shows a `Seccomp:` line for every process then. */
export const seccompAvailable = (): boolean => /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'));

/** The largest profiles list some 500 calls, in 32 KiB. */
const MAX_PROFILE_BYTES = 1024 * 1024;

/** The JSON of a Localhost seccomp profile; undefined for no path. INVALID_ARGUMENT names `field` and the file. */
export async function readSeccompProfile(path: string | undefined, field: string): Promise<unknown> {
  if (path === undefined) return undefined;
  try {
    return JSON.parse((await readRegularFile(path, MAX_PROFILE_BYTES)).toString('utf8')) as unknown;
  } catch (thrown) {
    throw invalidArgument(field, `"${path}" cannot be used: ${(thrown as Error).message}`);
  }
}
