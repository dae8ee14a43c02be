import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { debianMirror, DEBIAN_KEYRING } from './apt-mirror.js';
import type { Architecture } from './architectures.js';
import { run, withRetries } from './exec.js';
import { hasProgram, type HostNeed } from './host-packages.js';
import { cacheFolder } from './layout.js';
import { removeTree } from './leftovers.js';
import { withLock } from './lock.js';

export interface Extract {
  readonly architecture: Architecture;
  readonly suite: string;
  readonly packages: readonly string[];
}

export const EXTRACT_NEEDS: readonly HostNeed[] = [{ package: 'mmdebstrap', isHere: hasProgram('mmdebstrap') }];

const LIMIT_MS = 600_000;
const TRIES = 2;

/**
 * Returns a folder of the cache with the files of Debian packages, of any architecture, and of those that they need. No
 * script of a package runs. `keep` takes what is wanted from the unpacked `root` to `kept`; the cache has only that.
 */
export async function extractPackages(
  name: string,
  what: Extract,
  keep: (root: string, kept: string) => Promise<void>,
): Promise<string> {
  const target = join(cacheFolder(), name);
  if (existsSync(target)) return target;
  return withLock(`${target}.lock`, async () => {
    if (!existsSync(target)) await extract(target, what, keep);
    return target;
  });
}

async function extract(
  target: string,
  { architecture, suite, packages }: Extract,
  keep: (root: string, kept: string) => Promise<void>,
): Promise<void> {
  const work = `${target}.new`;
  const [root, kept] = [join(work, 'root'), join(work, 'kept')];
  const source = `deb [signed-by=${DEBIAN_KEYRING}] ${await debianMirror()} ${suite} main`;
  const options = ['--mode=root', '--variant=extract', '--quiet', `--architectures=${architecture}`];
  const expired = '--aptopt=Acquire::Check-Valid-Until "false"';
  const args = [...options, `--include=${packages.join(',')}`, expired, suite, root, source];
  try {
    await withRetries(TRIES, async () => {
      // mmdebstrap refuses a folder that a failed attempt has filled.
      await removeTree(work);
      await mkdir(work, { recursive: true });
      await run('mmdebstrap', args, { timeoutMs: LIMIT_MS });
    });
    await mkdir(kept);
    await keep(root, kept);
    await rename(kept, target);
  } finally {
    await removeTree(work);
  }
}
