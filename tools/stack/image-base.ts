import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run, which } from './exec.js';
import { layer, type Layer } from './image-push.js';
import type { Layout } from './layout.js';
import { projectRoot } from './project.js';
import type { TarEntry } from './tar.js';

/** A small Linux: busybox with its applets, ipcs and pgrep, and the libraries they need. */
export interface Base {
  readonly layer: Layer;
  /** The same with more lines in /etc/passwd and /etc/group. */
  withUsers(passwd: string, group: string): Layer;
}

const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'www-data:x:33:33:www-data:/var/www:/bin/false',
  'nobody:x:65534:65534:nobody:/home:/bin/false',
  '',
].join('\n');
const GROUP = ['root:x:0:', 'daemon:x:1:', 'www-data:x:33:', 'users:x:100:', 'nogroup:x:65534:', ''].join('\n');
const FOLDERS =
  'bin sbin usr usr/bin usr/sbin usr/lib lib lib64 etc proc sys dev root var var/run var/www home www'.split(' ');

export async function createBase(layout: Layout): Promise<Base> {
  const entries = [
    ...FOLDERS.map((name) => ({ name })),
    { name: 'tmp', mode: 0o1777 },
    ...(await applets(layout)),
    ...(await programs(layout)),
    { name: 'etc/hostname', body: Buffer.from('busybox\n') },
  ];
  const withUsers = (passwd: string, group: string): Layer =>
    layer([
      ...entries,
      { name: 'etc/passwd', body: Buffer.from(PASSWD + passwd) },
      { name: 'etc/group', body: Buffer.from(GROUP + group) },
    ]);
  return { layer: withUsers('', ''), withUsers };
}

/** Compiles `tools/stack/images/NAME.c` to a static program. */
export async function compile(name: string): Promise<Buffer> {
  if (!which('gcc')) throw new Error(`gcc is needed to make the image of ${name}: apt-get install gcc libc6-dev`);
  const work = await mkdtemp(join(tmpdir(), 'crid-cc-'));
  try {
    const output = join(work, name);
    const source = join(projectRoot, 'tools', 'stack', 'images', `${name}.c`);
    await run('gcc', ['-Wall', '-Wextra', '-Werror', '-Os', '-s', '-static', '-o', output, source]);
    return await readFile(output);
  } finally {
    await rm(work, { recursive: true });
  }
}

async function applets(layout: Layout): Promise<TarEntry[]> {
  const busybox = join(layout.root, 'usr', 'bin', 'busybox');
  const list = await run(layout.loader, ['--library-path', layout.lib, busybox, '--list-full']);
  const names = list.split('\n').filter((name) => /^(usr\/)?s?bin\/[^/]+$/.test(name) && name !== 'bin/busybox');
  return [
    { name: 'bin/busybox', mode: 0o755, body: await readFile(busybox) },
    // busybox has smaller versions of these two, or none
    ...names
      .filter((name) => !PROGRAMS.includes(basename(name)))
      .map((name) => ({ name, mode: 0o755, body: { hard: 'bin/busybox' } })),
  ];
}

/** The conformance suite runs them. */
const PROGRAMS = ['ipcs', 'pgrep'];

async function programs(layout: Layout): Promise<TarEntry[]> {
  const bin = (name: string): string => join(layout.root, 'usr', 'bin', name);
  const libraries = await neededLibraries(layout, ['busybox', ...PROGRAMS].map(bin));
  const triplet = basename(layout.lib);
  const loader = basename(layout.loader);
  return [
    ...(await Promise.all(
      PROGRAMS.map(async (name) => ({ name: `usr/bin/${name}`, mode: 0o755, body: await readFile(bin(name)) })),
    )),
    { name: `usr/lib/${triplet}` },
    { name: `lib/${triplet}` },
    ...(await Promise.all(
      libraries.map(async (name) => ({
        name: `lib/${triplet}/${name}`,
        mode: 0o755,
        body: await readFile(join(layout.lib, name)),
      })),
    )),
    { name: `lib64/${loader}`, body: { symbolic: `/lib/${triplet}/${loader}` } },
    ...(process.arch === 'arm64' ? [{ name: `lib/${loader}`, body: { symbolic: `${triplet}/${loader}` } }] : []),
  ];
}

/** The loader and every shared library that the programs need, of the packages' own library folder. */
async function neededLibraries(layout: Layout, files: readonly string[]): Promise<string[]> {
  const patchelf = join(layout.root, 'usr', 'bin', 'patchelf');
  const found = new Set<string>([basename(layout.loader)]);
  const queue = [...files];
  for (let file = queue.pop(); file; file = queue.pop()) {
    const needed = await run(layout.loader, ['--library-path', layout.lib, patchelf, '--print-needed', file]);
    for (const name of needed.split('\n').filter((line) => line !== '' && !found.has(line))) {
      found.add(name);
      queue.push(join(layout.lib, name));
    }
  }
  return [...found];
}
