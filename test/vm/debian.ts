import { join } from 'node:path';
import { VERSION } from '../../src/version.js';
import { debianFile } from '../../tools/dist/debian.js';
import type { Architecture } from '../../tools/stack/architectures.js';
import { run } from '../../tools/stack/exec.js';
import { projectRoot } from '../../tools/stack/project.js';
import { EXCHANGE } from '../../tools/vm/checkout.js';

/** The Debian packages of this checkout. They differ only in their version: the checkout's, and a later one. */
export const PACKAGE_VERSIONS = { own: VERSION, later: '99.0.0' } as const;

const BUILD_LIMIT_MS = 600_000;
const folderOf = (of: string): string => join(EXCHANGE, 'packages', of);

/** The path of the package, on the host and in the guest. */
export const packageFile = (of: string, architecture: Architecture = 'amd64'): string =>
  join(folderOf(of), debianFile(of, architecture));

/** Builds the package in each version on the host. */
export async function buildPackages(architecture: Architecture, versions: readonly string[]): Promise<void> {
  for (const of of versions) {
    // Level 0 compresses nothing, because the emulated guest decompresses slowly.
    const options = ['--arch', architecture, '--format', 'deb', '--level', '0', '--version', of, '--out', folderOf(of)];
    await run(process.execPath, [join(projectRoot, 'build/tools/dist.js'), ...options], {
      cwd: projectRoot,
      timeoutMs: BUILD_LIMIT_MS,
    });
  }
}
