import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { invalidArgument } from '../base/errors.js';

/** Whether the kernel can filter system calls: it shows a `Seccomp:` line for every process then. */
export const seccompAvailable = (): boolean => /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'));

/** The JSON of a Localhost seccomp profile; undefined for no path. INVALID_ARGUMENT names `field` and the file. */
export async function readSeccompProfile(path: string | undefined, field: string): Promise<unknown> {
  if (path === undefined) return undefined;
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown;
  } catch (thrown) {
    throw invalidArgument(field, `"${path}" cannot be used: ${(thrown as Error).message}`);
  }
}
