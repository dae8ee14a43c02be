import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lockedPackage, npmPackage } from '../dist/npm-parts.js';
import { ARCHITECTURES, ownArchitecture } from '../stack/architectures.js';
import { run, which } from '../stack/exec.js';
import { projectRoot } from '../stack/project.js';
import type { Machine } from './machine.js';
import { quote } from './ssh.js';

/** Shared with the guest at the same path, because test logs are written there too. */
export const SHARED = join(projectRoot, '.work');
/** The folder of the files for the guest, and of the reports from it. */
export const EXCHANGE = join(SHARED, 'vm');

const PARTS = ['bin', 'build', 'docs', 'protos', 'test', 'tools', 'package.json', 'buf.gen.yaml'];
const COPY_LIMIT_MS = 300_000;
/** Packages of package.json that neither crid nor its tests import. */
const BUILD_TOOLS = new Set([
  ...['@bufbuild/buf', '@types/node', 'dependency-cruiser', 'eslint', 'prettier', 'rolldown', 'ts-proto'],
  ...['typescript', 'typescript-eslint'],
]);

/** Copies this checkout, with its build, to the guest's disk at the same path. */
export async function copyCheckout(machine: Machine): Promise<void> {
  await unpackInGuest(machine, 'checkout', projectRoot, [...PARTS, ...(await packageFolders())]);
  if (machine.architecture === ownArchitecture()) return;
  // npm installs native parts for the host only.
  const name = `@koromix/koffi-linux-${ARCHITECTURES[machine.architecture]}`;
  const folder = await npmPackage(await lockedPackage(name));
  await unpackInGuest(machine, 'native', folder, await readdir(folder), join(projectRoot, 'node_modules', name));
}

/** The parts of package-lock.json that are read here, by the folder of each package; "" is crid itself. */
type Locked = Record<string, Partial<Record<'dependencies' | 'devDependencies' | 'optionalDependencies', object>>>;

/** Returns the folders of the packages that crid and its tests import, with their dependencies. */
async function packageFolders(): Promise<string[]> {
  const { packages } = JSON.parse(await readFile(join(projectRoot, 'package-lock.json'), 'utf8')) as {
    packages: Locked;
  };
  const found = new Set<string>();
  const add = (name: string, importer: string): void => {
    const folder = resolutions(name, importer).find((each) => each in packages);
    if (folder === undefined || found.has(folder) || !existsSync(join(projectRoot, folder))) return;
    found.add(folder);
    const { dependencies, optionalDependencies } = packages[folder]!;
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies })) add(next, folder);
  };
  const { dependencies, devDependencies } = packages['']!;
  const imported = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !BUILD_TOOLS.has(name));
  for (const name of imported) add(name, '');
  return [...found];
}

/** Returns the folders in which Node.js looks for a package, nearest first. */
function resolutions(name: string, importer: string): string[] {
  const folder = join(importer, 'node_modules', name);
  if (importer === '') return [folder];
  const above = importer.slice(0, Math.max(0, importer.lastIndexOf('node_modules') - 1));
  return [folder, ...resolutions(name, above)];
}

/**
 * Unpacks files from a folder of the host into the same folder of the guest, or into `target`. Uses one archive,
 * because each file on a share costs the guest some milliseconds.
 */
export async function unpackInGuest(
  machine: Machine,
  name: string,
  folder: string,
  paths: readonly string[],
  target = folder,
): Promise<void> {
  const archive = join(EXCHANGE, `${name}.tar`);
  await mkdir(EXCHANGE, { recursive: true });
  const exclude = ['--exclude=build/conformance', '--exclude=*.tsbuildinfo'];
  await run(which('tar') ?? 'tar', ['-C', folder, ...exclude, '-cf', archive, ...paths], { timeoutMs: COPY_LIMIT_MS });
  const at = quote(target);
  await machine.run(`mkdir -p ${at} && cd ${at} && rm -rf ${paths.map(quote).join(' ')} && tar -xf ${quote(archive)}`, {
    timeoutMs: COPY_LIMIT_MS,
  });
}
