import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isCode } from '../../../../src/base/errors.js';
import { LAYERS_PER_STRING, openOverlay } from '../../../../src/host/mount/detached-mount.js';
import { openRootfs, type Rootfs, type RootfsMount } from '../../../../src/host/files/rootfs.js';
import { makeFifo } from '../../../../src/host/pipe/fifo.js';
import { closeSync } from 'node:fs';
import { countFds, folderFor, mountTable } from '../helpers.js';

const bind = (source: string): RootfsMount[] => [{ type: 'bind', source, target: '', options: ['rbind', 'rw'] }];

const overlay = (lower: readonly string[], upper?: string, work?: string): RootfsMount => ({
  type: 'overlay',
  source: 'overlay',
  target: '',
  options: [
    ...(upper ? [`workdir=${work ?? ''}`, `upperdir=${upper}`] : []),
    `lowerdir=${lower.join(':')}`,
    'index=off',
  ],
});

/** Returns a file's contents, or undefined if it is missing or not a regular file. */
async function readText(rootfs: Rootfs, path: string): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  const isThere = await rootfs.readFile(path, (bytes) => pieces.push(Buffer.from(bytes)) > 0);
  return isThere ? Buffer.concat(pieces).toString() : undefined;
}

/** A secret file on the host, beside a rootfs full of links that lead to it. */
function hostile(folder: string): { root: string; secret: string } {
  const root = join(folder, 'root');
  const secret = join(folder, 'secret');
  mkdirSync(join(root, 'etc'), { recursive: true });
  mkdirSync(secret);
  writeFileSync(join(secret, 'passwd'), 'the host');
  writeFileSync(join(root, 'etc', 'real'), 'inside');
  symlinkSync(secret, join(root, 'absolute'));
  symlinkSync(`../../../../../../../..${secret}`, join(root, 'relative'));
  symlinkSync('/proc/self/root', join(root, 'magic'));
  symlinkSync('/etc/real', join(root, 'etc', 'passwd'));
  symlinkSync('loop', join(root, 'loop'));
  return { root, secret };
}

test('links in an image never lead out of the rootfs (CVE-2024-5154)', async (t) => {
  const folder = folderFor(t);
  const { root, secret } = hostile(folder);
  const fds = countFds();
  const rootfs = await openRootfs(bind(root));
  const paths = ['/absolute/passwd', '/relative/passwd', `/magic${secret}/passwd`, `../..${secret}/passwd`, '/loop'];
  const read = await Promise.all([...paths, '/etc/passwd', '/../etc/real'].map((path) => readText(rootfs, path)));
  assert.deepEqual(
    {
      read: read,
      exists: await Promise.all(
        ['/absolute', '/loop', '/etc', '/etc/passwd/x', '/'].map((path) => rootfs.exists(path)),
      ),
      stat: [(await rootfs.stat('/etc/passwd'))?.kind, (await rootfs.lstat('/etc/passwd'))?.kind],
      mounts: mountTable().includes(folder),
    },
    {
      read: [undefined, undefined, undefined, undefined, undefined, 'inside', 'inside'],
      exists: [false, false, true, false, true],
      stat: ['file', 'symlink'],
      mounts: false,
    },
  );
  await rootfs.close();
  await rootfs.close();
  await assert.rejects(rootfs.exists('/etc'), /already closed/);
  assert.equal(countFds(), fds);
});

test('an /etc that is a link is looked up inside the rootfs, as are links to it (GHSA-rp3h-jf77-q9p4)', async (t) => {
  const folder = folderFor(t);
  const [root, secret] = [join(folder, 'root'), join(folder, 'secret')];
  for (const path of [join(root, secret.slice(1)), secret]) mkdirSync(path, { recursive: true });
  writeFileSync(join(secret, 'passwd'), 'outside');
  writeFileSync(join(root, secret.slice(1), 'passwd'), 'inside');
  const read = async (target: string): Promise<string | undefined> => {
    rmSync(join(root, 'etc'), { force: true });
    symlinkSync(target, join(root, 'etc'));
    const rootfs = await openRootfs(bind(root));
    try {
      return await readText(rootfs, '/etc/passwd');
    } finally {
      await rootfs.close();
    }
  };
  const magic = `/proc/self/root${secret}`;
  const found: (string | undefined)[] = [];
  for (const target of [secret, `../../../../../..${secret}`, 'etc', magic, '/missing']) found.push(await read(target));
  assert.deepEqual(found, ['inside', 'inside', undefined, undefined, undefined]);
});

test('a VOLUME path with links copies nothing of the host (CVE-2022-23648)', async (t) => {
  const folder = folderFor(t);
  const { root } = hostile(folder);
  const rootfs = await openRootfs(bind(root));
  const copied: Record<string, unknown> = {};
  for (const path of ['/absolute', '/relative', '/magic', '/loop', '/none', '/etc/real']) {
    const destination = join(folder, `copy-${path.replaceAll('/', '')}`);
    mkdirSync(destination);
    copied[path] = [await rootfs.copyTree(path, destination), readdirSync(destination)];
  }
  await rootfs.close();
  const nothing = [false, []];
  assert.deepEqual(copied, {
    '/absolute': nothing,
    '/relative': nothing,
    // A magic link of /proc is an ordinary link in an image: it leads to the rootfs's /proc, which is missing.
    '/magic': nothing,
    '/loop': nothing,
    '/none': nothing,
    '/etc/real': nothing,
  });
});

test('copies a tree with owners, modes, times, links, FIFOs, devices, attributes and odd names', async (t) => {
  const folder = folderFor(t);
  const [root, destination] = [join(folder, 'root'), join(folder, 'copy')];
  const data = join(root, 'data');
  mkdirSync(join(data, 'sub'), { recursive: true });
  mkdirSync(destination);
  writeFileSync(join(data, 'sub', 'file'), 'content');
  writeFileSync(Buffer.from(`${data}/\xff\xfe`, 'latin1'), 'odd');
  linkSync(join(data, 'sub', 'file'), join(data, 'hard'));
  symlinkSync('/etc/shadow', join(data, 'link'));
  makeFifo(join(data, 'fifo'), 0o600);
  execFileSync('mknod', [join(data, 'null'), 'c', '1', '3']);
  chownSync(join(data, 'fifo'), 12, 34);
  chmodSync(join(data, 'fifo'), 0o622);
  chownSync(join(data, 'sub', 'file'), 1234, 5678);
  chmodSync(join(data, 'sub', 'file'), 0o4751);
  chownSync(data, 33, 34);
  chmodSync(data, 0o1770);
  const rootfs = await openRootfs(bind(root));
  assert.equal(await rootfs.copyTree('/data', destination), true);
  await rootfs.close();
  const shown = (path: string) => {
    const { mode, uid, gid, mtimeMs, nlink } = lstatSync(path);
    return { mode, uid, gid, mtime: Math.floor(mtimeMs / 1000), nlink };
  };
  for (const name of ['', 'sub', 'sub/file', 'fifo', 'null']) {
    assert.deepEqual(shown(join(destination, name)), shown(join(data, name)), name);
  }
  assert.deepEqual(
    {
      names: readdirSync(destination, { encoding: 'latin1' }).sort(),
      content: readFileSync(join(destination, 'hard'), 'utf8'),
      link: readlinkSync(join(destination, 'link')),
      sameFile: lstatSync(join(destination, 'hard')).ino === lstatSync(join(destination, 'sub', 'file')).ino,
      device: lstatSync(join(destination, 'null')).rdev,
    },
    {
      names: ['fifo', 'hard', 'link', 'null', 'sub', '\xff\xfe'],
      content: 'content',
      link: '/etc/shadow',
      sameFile: true,
      device: lstatSync('/dev/null').rdev,
    },
  );
});

test('reads an overlay: the upper layer wins, whiteouts hide', async (t) => {
  const folder = folderFor(t);
  const path = (name: string): string => join(folder, name);
  for (const name of ['low', 'mid', 'up', 'work']) mkdirSync(path(name));
  for (const name of ['low', 'mid', 'up']) writeFileSync(join(path(name), 'who'), name);
  writeFileSync(join(path('low'), 'gone'), 'x');
  writeFileSync(join(path('low'), 'low'), 'x');
  execFileSync('mknod', [join(path('mid'), 'gone'), 'c', '0', '0']);
  const read = async (mount: RootfsMount) => {
    const rootfs = await openRootfs([mount]);
    const found = await Promise.all(['/who', '/gone', '/low'].map((file) => readText(rootfs, file)));
    await rootfs.close();
    return found;
  };
  assert.deepEqual(
    [
      await read(overlay([path('mid'), path('low')], path('up'), path('work'))),
      await read(overlay([path('mid'), path('low')])),
    ],
    [
      ['up', undefined, 'x'],
      ['mid', undefined, 'x'],
    ],
  );
  assert.deepEqual(readdirSync(path('work')), []);
});

test('reads an overlay of more layers than fit in one string, on old kernels too', async (t) => {
  const folder = folderFor(t);
  const fds = countFds();
  const layers = Array.from({ length: LAYERS_PER_STRING * 5 + 1 }, (_, index) => join(folder, `layer-${index}`));
  layers.forEach((layer, index) => {
    mkdirSync(layer);
    writeFileSync(join(layer, `file-${index}`), 'x');
  });
  const names = [];
  for (const manyLowers of [undefined, false]) {
    const fd = await openOverlay(overlay(layers), manyLowers);
    names.push(readdirSync(`/proc/self/fd/${fd}`).length);
    closeSync(fd);
  }
  assert.deepEqual([names, countFds()], [[layers.length, layers.length], fds]);
});

test('files of any size are read in pieces until enough is read, and special files read as nothing', async (t) => {
  const root = folderFor(t);
  writeFileSync(join(root, 'fits'), Buffer.alloc(300_000));
  makeFifo(join(root, 'fifo'), 0o600);
  execFileSync('mknod', [join(root, 'zero'), 'c', '1', '5']);
  const rootfs = await openRootfs(bind(root));
  let first = 0;
  await rootfs.readFile('/fits', (bytes) => (first += bytes.length) < 100_000);
  const read = await Promise.all(['/fits', '/fifo', '/zero', '/'].map((path) => readText(rootfs, path)));
  await rootfs.close();
  assert.deepEqual(
    [read.map((bytes) => bytes?.length), first],
    [[300_000, undefined, undefined, undefined], 2 * 65_536],
  );
});

test('several mounts, or a missing source, fail by name', async (t) => {
  const folder = folderFor(t);
  const none = bind(join(folder, 'none'));
  await assert.rejects(openRootfs(none), (thrown) => isCode(thrown, 'NOT_FOUND'));
  await assert.rejects(openRootfs([...none, ...none]), (thrown) => isCode(thrown, 'UNIMPLEMENTED'));
});
