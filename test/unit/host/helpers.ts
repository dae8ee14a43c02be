import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Creates a folder that is removed after the test. Fails if a mount is left in it. */
export function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'crid-host-'));
  t.after(() => {
    if (mountTable().includes(folder)) throw new Error(`a mount is left in ${folder}`);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

export const mountTable = (): string => readFileSync('/proc/self/mountinfo', 'utf8');

export const countFds = (): number => readdirSync('/proc/self/fd').length;
