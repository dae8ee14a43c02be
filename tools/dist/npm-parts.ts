import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runWithRetries } from '../stack/exec.js';
import { cacheFolder } from '../stack/layout.js';
import { projectRoot } from '../stack/project.js';

/** A package of npm's registry, with the checksum that its archive must have. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
}

const LIMIT_MS = 600_000;
const TRIES = 3;

/** The parts of package-lock.json that are read here, by the folder of each package. */
interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity: string } | undefined>>;
}

export const lock = async (): Promise<Lock> =>
  JSON.parse(await readFile(join(projectRoot, 'package-lock.json'), 'utf8')) as Lock;

/** Returns a package in the version of package-lock.json. */
export async function lockedPackage(name: string): Promise<NpmPackage> {
  const entry = (await lock()).packages[`node_modules/${name}`];
  if (!entry) throw new Error(`package-lock.json has no ${name}`);
  return { name, version: entry.version, integrity: known(entry.integrity, name) };
}

export function known(integrity: string | undefined, what: string): string {
  if (!integrity) throw new Error(`no checksum of ${what} is known`);
  return integrity;
}

/**
 * Returns the folder of an unpacked package, which the cache keeps. No script of the package runs, and its archive must
 * have the expected checksum.
 */
export async function npmPackage({ name, version, integrity }: NpmPackage): Promise<string> {
  const cache = join(cacheFolder(), 'dist');
  const digest = createHash('sha256').update(`${name}@${version} ${integrity}`).digest('hex').slice(0, 16);
  const folder = join(cache, digest);
  if (existsSync(folder)) return join(folder, 'package');
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'work-'));
  try {
    const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', work, `${name}@${version}`];
    await runWithRetries(TRIES, 'npm', args, { cwd: work, timeoutMs: LIMIT_MS });
    const [archive = ''] = await readdir(work);
    const found = `sha512-${createHash('sha512')
      .update(await readFile(join(work, archive)))
      .digest('base64')}`;
    if (found !== integrity) throw new Error(`${name}@${version}: its checksum is ${found} instead of ${integrity}`);
    const unpacked = join(work, 'unpacked');
    await mkdir(unpacked);
    await run('tar', ['-C', unpacked, '-xzf', join(work, archive)], { timeoutMs: LIMIT_MS });
    await rename(unpacked, folder).catch((error: unknown) => {
      // Another build has put the same package there meanwhile.
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(work, { recursive: true });
  }
  return join(folder, 'package');
}
