import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CriError } from '../../base/errors.js';
import { translated } from '../syscall/errno.js';

/** Returns whether profiles can be loaded and applied: the module is on and its interface is mounted. */
export function appArmorEnabled(): boolean {
  if (!existsSync('/sys/kernel/security/apparmor')) return false;
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'latin1').startsWith('Y');
  } catch {
    return false;
  }
}

/** Returns the text of the kernel's list of loaded profiles. */
export const readAppArmorProfiles = (): Promise<string> => read('/sys/kernel/security/apparmor/profiles');

/** Returns the profile of this process, as /proc/self/attr/current has it; "" when it cannot be read. */
export const ownAppArmorProfile = (): Promise<string> => read('/proc/self/attr/current').catch(() => '');

/** Returns those of these file names that exist in /etc/apparmor.d. */
export const appArmorIncludes = (names: readonly string[]): ReadonlySet<string> =>
  new Set(names.filter((name) => existsSync(join('/etc/apparmor.d', name))));

const LOAD_LIMIT_MS = 60_000;

/**
 * Loads a profile into the kernel and replaces an older profile of the same name; apparmor_parser(8) compiles it.
 * FAILED_PRECONDITION when apparmor_parser is missing or rejects the profile.
 */
export async function loadAppArmorProfile(profile: string): Promise<void> {
  const parser = spawn('apparmor_parser', ['--replace', '--skip-cache'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: LOAD_LIMIT_MS,
  });
  parser.stdin.on('error', () => undefined);
  const said = Promise.all([text(parser.stdout), text(parser.stderr)]);
  parser.stdin.end(profile);
  let code: unknown;
  try {
    [code] = (await once(parser, 'close')) as unknown[];
  } catch (thrown) {
    throw new CriError('FAILED_PRECONDITION', `apparmor_parser: ${(thrown as Error).message}`, { cause: thrown });
  }
  if (code === 0) return;
  throw new CriError('FAILED_PRECONDITION', `apparmor_parser: ${(await said).join('').trim().slice(-1024)}`);
}

const read = (path: string): Promise<string> => translated(path, () => readFile(path, 'utf8'));
