import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { debianMirror, DEBIAN_KEYRING } from './apt-mirror.js';
import { run, runWithRetries } from './exec.js';
import type { Layout } from './layout.js';
import { BUSYBOX_SUITE, PACKAGES, SUITE } from './package-list.js';

const NETWORK_TIMEOUT_MS = 300_000;
const TRIES = 3;
/** These need a newer C library than a host may have. */
const PATCHED = ['runc', 'crun', 'criu'];
const AS_THEY_ARE = ['containerd', 'ctr', 'containerd-shim-runc-v2', 'docker-registry'];

const stampOf = (layout: Layout): string => join(dirname(layout.root), 'made-of');

/** The stamp of a system that has the programs installed, with links to them in `bin` (the node in tools/vm). */
export const INSTALLED = 'installed';

export const havePackages = async (layout: Layout): Promise<boolean> =>
  [recipe(), INSTALLED].includes(await readFile(stampOf(layout), 'utf8').catch(() => ''));

const recipe = (): string => JSON.stringify({ layout: 3, suite: SUITE, packages: PACKAGES });

/** Downloads and unpacks the packages into the layout's folder. The host's own packages do not change. */
export async function makePackages(layout: Layout): Promise<void> {
  const packages = dirname(layout.root);
  await rm(packages, { recursive: true, force: true });
  for (const folder of [layout.bin, layout.criuBin]) await mkdir(folder, { recursive: true });
  const debs = await download(join(layout.dir, 'apt'));
  for (const deb of debs) await run('dpkg', ['-x', deb, layout.root]);
  const patchelf = join(layout.root, 'usr', 'bin', 'patchelf');
  for (const name of PATCHED) {
    const program = join(name === 'criu' ? layout.criuBin : layout.bin, name);
    await copyFile(found(layout, name), `${program}.new`);
    // --force-rpath sets DT_RPATH, which also applies to the libraries of the libraries.
    const pointing = ['--force-rpath', '--set-interpreter', layout.loader, '--set-rpath', layout.lib, `${program}.new`];
    await run(layout.loader, ['--library-path', layout.lib, patchelf, ...pointing]);
    await rename(`${program}.new`, program);
  }
  for (const name of AS_THEY_ARE) await symlink(found(layout, name), join(layout.bin, name));
  await rm(join(layout.dir, 'apt'), { recursive: true });
  await writeFile(stampOf(layout), recipe());
}

/** Uses a separate apt whose lists, sources and cache are in `folder`. */
async function download(folder: string): Promise<string[]> {
  for (const name of ['lists/partial', 'cache/archives/partial', 'debs']) {
    await mkdir(join(folder, name), { recursive: true });
  }
  await writeFile(join(folder, 'status'), '');
  const mirror = await debianMirror();
  const sources = [SUITE, BUSYBOX_SUITE].map((suite) => `deb [signed-by=${DEBIAN_KEYRING}] ${mirror} ${suite} main\n`);
  await writeFile(join(folder, 'sources.list'), sources.join(''));
  // A mirror may be a snapshot whose Release file has expired; apt still checks its signature.
  const lines = [
    `Dir::State::Lists "${folder}/lists"`,
    // No package counts as installed, so that only the suite's versions are candidates.
    `Dir::State::Status "${folder}/status"`,
    `APT::Default-Release "${SUITE}"`,
    `Dir::Etc::SourceList "${folder}/sources.list"`,
    'Dir::Etc::SourceParts "-"',
    `Dir::Cache "${folder}/cache"`,
    'APT::Sandbox::User "root"',
    'Acquire::Check-Valid-Until "false"',
  ];
  const config = join(folder, 'apt.conf');
  await writeFile(config, lines.map((line) => `${line};\n`).join(''));
  const debs = join(folder, 'debs');
  const options = { cwd: debs, env: { ...process.env, APT_CONFIG: config }, timeoutMs: NETWORK_TIMEOUT_MS };
  await runWithRetries(TRIES, 'apt-get', ['-q', 'update'], options);
  await runWithRetries(TRIES, 'apt-get', ['-q', 'download', ...PACKAGES], options);
  return (await readdir(debs)).map((name) => join(debs, basename(name)));
}

function found(layout: Layout, name: string): string {
  const path = ['bin', 'sbin'].map((folder) => join(layout.root, 'usr', folder, name)).find(existsSync);
  if (path === undefined) throw new Error(`no ${name} in the packages of Debian ${SUITE}`);
  return path;
}
