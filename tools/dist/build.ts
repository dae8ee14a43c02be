import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../stack/exec.js';
import { projectRoot } from '../stack/project.js';
import { contents, type Contents, type Edition } from './contents.js';
import { debianFile, debianFiles } from './debian.js';
import { writeTree, type TreeFile } from './tree.js';

/** The compression, 1 to 9. With 0 a Debian package is not compressed, and an archive is compressed as with 1. */
export type Level = number;

export const FORMATS = ['tar.gz', 'deb'] as const;
export type Format = (typeof FORMATS)[number];

export interface Packaging {
  readonly formats: readonly Format[];
  readonly level: Level;
}

const LIMIT_MS = 1_800_000;
/** The names of all files that a build writes. */
const OUTPUT = /^(crid_[^/]+\.deb|crid-[^/]+\.tar\.gz|SHA256SUMS)$/;
/** The folders of the archive that no other package has files in. */
const OWN_FOLDERS = ['lib/crid', 'share/doc/crid'];

/**
 * Writes the packages of one architecture into `folder`. The same sources, tools and `edition` give the same bytes:
 * names are sorted, times are the edition's, owners are root, and the archives name no builder.
 */
export async function buildPackages(folder: string, edition: Edition, { formats, level }: Packaging): Promise<void> {
  const all = await contents(edition);
  if (formats.includes('tar.gz')) await buildArchive(folder, all, { edition, level });
  if (formats.includes('deb')) await buildDebianPackage(folder, all, { edition, level });
}

interface BuildOptions {
  readonly edition: Edition;
  readonly level: Level;
}

async function buildArchive(folder: string, all: Contents, { edition, level }: BuildOptions): Promise<void> {
  const { version, architecture, epoch } = edition;
  const files = [
    ...all.files,
    { path: 'lib/systemd/system/crid.service', content: { text: all.unit('/usr/local/bin/crid') } },
    // Debian has its own copy of this licence.
    { path: 'share/doc/crid/LICENSE', content: { copyOf: join(projectRoot, 'LICENSE') } },
  ];
  await inFolder(async (work) => {
    await writeTree(work, files, epoch);
    await archive(work, join(folder, `crid-${version}-linux-${architecture}.tar.gz`), { files, epoch, level });
  });
}

async function buildDebianPackage(folder: string, all: Contents, { edition, level }: BuildOptions): Promise<void> {
  const { version, architecture, epoch } = edition;
  await inFolder(async (work) => {
    await writeTree(work, await debianFiles(all, edition), epoch);
    const target = join(folder, debianFile(version, architecture));
    const compress = level === 0 ? ['-Znone'] : ['-Zxz', `-z${level}`];
    const args = ['--root-owner-group', '--uniform-compression', ...compress, '--build', work, target];
    await run('dpkg-deb', args, {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch), LC_ALL: 'C.UTF-8' },
      timeoutMs: LIMIT_MS,
    });
  });
}

/**
 * Makes an empty folder for packages. Packages of an earlier build are removed; a folder with anything else is refused,
 * because it is not a folder of builds.
 */
export async function emptyFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  const others = names.filter((name) => !OUTPUT.test(name));
  if (others.length > 0) throw new Error(`${folder} has other files than packages: ${others.sort().join(', ')}`);
  for (const name of names) await rm(join(folder, name));
}

/** Writes SHA256SUMS, which `sha256sum --check` reads. */
export async function writeSums(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => /\.(deb|tar\.gz)$/.test(name)).sort();
  const lines = await Promise.all(
    names.map(async (name) => {
      const digest = createHash('sha256').update(await readFile(join(folder, name)));
      return `${digest.digest('hex')}  ${name}\n`;
    }),
  );
  await writeFile(join(folder, 'SHA256SUMS'), lines.join(''));
}

interface ArchiveOptions {
  readonly files: readonly TreeFile[];
  readonly epoch: number;
  readonly level: Level;
}

/** The only folders in the archive are crid's own: an entry for another one would change its mode, owner or link. */
async function archive(root: string, target: string, { files, epoch, level }: ArchiveOptions): Promise<void> {
  // gzip -n leaves out the name and the time.
  const compress = `--use-compress-program=gzip -n${Math.max(1, level)}`;
  const owner = ['--owner=0', '--group=0', '--numeric-owner'];
  const entries = ['--format=gnu', '--no-recursion', `--mtime=@${epoch}`];
  await run('tar', ['-C', root, compress, ...owner, ...entries, '-cf', target, ...archiveEntries(files)], {
    timeoutMs: LIMIT_MS,
  });
}

/** Returns the paths of files with those of crid's own folders, sorted: a folder comes before what is in it. */
export function archiveEntries(files: readonly Pick<TreeFile, 'path'>[]): string[] {
  const paths = files.flatMap(({ path }) => [path, ...foldersAbove(path).filter(isOwn)]);
  return [...new Set(paths)].sort();
}

function foldersAbove(path: string): string[] {
  const above = dirname(path);
  return above === '.' ? [] : [above, ...foldersAbove(above)];
}

const isOwn = (folder: string): boolean => OWN_FOLDERS.some((own) => folder === own || folder.startsWith(`${own}/`));

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-dist-'));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
