import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run, which } from '../../tools/stack/exec.js';
import { projectRoot } from '../../tools/stack/project.js';

/** `make test-dist`: the packages of this machine's architecture, built twice, from two folders. */
const LIMIT_MS = 1_800_000;
const EPOCH = 1_700_000_000;
const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
/** The sources and the compiled tools that a build reads. */
const SOURCES = [
  ...['bin', 'build/src', 'build/generated', 'build/tools', 'CHANGELOG.md', 'docs', 'generated', 'LICENSE'],
  ...['package.json', 'package-lock.json', 'packaging', 'README.md', 'src', 'tools', 'buf.gen.yaml', 'tsconfig.json'],
];

/** Two folders, so that an edit of the checkout meanwhile does not matter. */
const COPIES = ['sources', 'another folder'] as const;

let folder: string;
let archive = '';
let deb = '';
/** The unpacked packages. */
let fromArchive: string;
let fromDeb: string;

before(async () => {
  // Below the checkout, because the copies have hard links to its node_modules.
  folder = await mkdtemp(join(projectRoot, 'build', 'test-dist-'));
  for (const copy of COPIES) await copySources(join(folder, copy));
  const out = join(folder, 'out-1');
  await build(join(folder, COPIES[0]), out);
  for (const name of await readdir(out)) {
    if (name.endsWith('.deb')) deb = join(out, name);
    if (name.endsWith('.tar.gz')) archive = join(out, name);
  }
  [fromArchive, fromDeb] = [join(folder, 'archive'), join(folder, 'deb')];
  await mkdir(fromArchive);
  await run('tar', ['-C', fromArchive, '-xzf', archive], { timeoutMs: LIMIT_MS });
  await run('dpkg-deb', ['-x', deb, fromDeb], { timeoutMs: LIMIT_MS });
});

after(() => rm(folder, { recursive: true }));

test('a build of the same sources elsewhere, by another user environment, gives the same bytes', async () => {
  const out = join(folder, 'out-2');
  const env = { ...process.env, TZ: 'Asia/Tokyo', LC_ALL: 'C' };
  const old = process.umask(0o077);
  await build(join(folder, COPIES[1]), out, env).finally(() => process.umask(old));
  assert.deepEqual(await digests(out), await digests(join(folder, 'out-1')));
});

test('the sums are those of the packages', async () => {
  await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: join(folder, 'out-1'), timeoutMs: LIMIT_MS });
});

test('all files belong to root and have the time of the commit', async () => {
  const listed = await run('tar', ['--utc', '--full-time', '-tvzf', archive], { timeoutMs: LIMIT_MS });
  const rows = listed.trim().split('\n');
  assert.ok(rows.length > 50);
  assert.deepEqual(
    rows.filter((row) => !/^[-dl](rwxr-xr-x|rw-r--r--|rwxrwxrwx) 0\/0 +\d+ 2023-11-14 22:13:20 /.test(row)),
    [],
  );
});

test('the archive leaves a folder that is there as it is, also one that is a link', async () => {
  const [prefix, elsewhere] = [join(folder, 'prefix'), join(folder, 'elsewhere')];
  await mkdir(join(prefix, 'bin'), { recursive: true });
  await chmod(join(prefix, 'bin'), 0o2775);
  await mkdir(elsewhere);
  await symlink(elsewhere, join(prefix, 'share'));
  await run('tar', ['-C', prefix, '-xzf', archive], { timeoutMs: LIMIT_MS });
  assert.equal(((await stat(join(prefix, 'bin'))).mode & 0o7777).toString(8), '2775');
  assert.ok((await lstat(join(prefix, 'share'))).isSymbolicLink());
  assert.ok((await stat(join(elsewhere, 'doc/crid/LICENSE'))).isFile());
});

test('crid runs on its own Node.js, without any program in the PATH', async () => {
  const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const env = { PATH: '' };
  for (const program of [join(fromArchive, 'bin/crid'), join(fromDeb, 'usr/bin/crid')]) {
    assert.equal(await run(program, ['version'], { env, timeoutMs: LIMIT_MS }), `crid ${version}\n`);
    // Loads the whole server, with its native part.
    const shown = await run(program, ['config', 'show', '--containerd-config', '', '--config', ''], { env });
    assert.match(shown, /^listen = "\/run\/crid\/crid\.sock" # default$/m);
  }
});

test('the list of parts names Node.js, koffi, every package in the bundle with a checksum, and the contracts', async () => {
  const text = await readFile(join(fromDeb, 'usr/share/doc/crid/sbom.spdx.json'), 'utf8');
  const { packages } = JSON.parse(text) as {
    packages: { name: string; versionInfo: string; checksums?: { checksumValue: string }[] }[];
  };
  const bundled = JSON.parse(await readFile(join(projectRoot, 'build/bundle/packages.json'), 'utf8')) as {
    name: string;
  }[];
  const contracts = JSON.parse(await readFile(join(projectRoot, 'packaging/contracts.json'), 'utf8')) as {
    name: string;
  }[];
  const native = process.arch === 'arm64' ? 'arm64' : 'x64';
  assert.deepEqual(
    packages.map(({ name }) => name).sort(),
    [
      ...bundled.map(({ name }) => name),
      ...contracts.map(({ name }) => name),
      ...['crid', 'koffi', `@koromix/koffi-linux-${native}`, `node-linux-${native}`],
    ].sort(),
  );
  assert.deepEqual(
    packages.filter(({ checksums }) => checksums?.[0]?.checksumValue.length !== 128).map(({ name }) => name),
    ['crid', ...contracts.map(({ name }) => name)],
  );
  const licences = await readFile(join(fromDeb, 'usr/share/doc/crid/LICENSES.txt'), 'utf8');
  const titles = packages.map(({ name, versionInfo }) => `${name} ${versionInfo}: `);
  assert.deepEqual(
    titles.filter((title) => !title.startsWith('crid ') && !title.startsWith('@koromix/') && !licences.includes(title)),
    [],
  );
});

test('the Debian package does not enable its service, and its example of a configuration sets nothing', async () => {
  assert.deepEqual(await readdir(fromDeb), ['usr']);
  const shown = await run(
    join(fromDeb, 'usr/bin/crid'),
    ['config', 'show', '--containerd-config', '', '--config', join(fromDeb, 'usr/share/doc/crid/examples/config.toml')],
    { timeoutMs: LIMIT_MS },
  );
  assert.deepEqual(
    shown.split('\n').filter((line) => line.includes(' = ') && !line.endsWith('# default')),
    [],
  );
  const unit = await readFile(join(fromDeb, 'usr/lib/systemd/system/crid.service'), 'utf8');
  assert.match(unit, /^ExecStart=\/usr\/bin\/crid serve$/m);
});

test('lintian finds no error', { skip: which('lintian') === undefined && 'lintian is not installed' }, async () => {
  await run('lintian', ['--no-cfg', '--allow-root', '--fail-on', 'error,warning', deb], { timeoutMs: LIMIT_MS });
});

test('the manual pages format without a warning', { skip: which('man') === undefined && 'no man' }, async () => {
  for (const page of ['man8/crid.8.gz', 'man5/crid.toml.5.gz']) {
    const path = join(fromDeb, 'usr/share/man', page);
    assert.ok((await stat(path)).size > 1000);
    const script = 'man --warnings -E UTF-8 -l "$1" 2>&1 >/dev/null';
    assert.equal(await run('sh', ['-c', script, 'sh', path], { env: { ...process.env, MANWIDTH: '100' } }), '');
  }
});

async function copySources(copy: string): Promise<void> {
  for (const name of SOURCES) await cp(join(projectRoot, name), join(copy, name), { recursive: true });
  await run('cp', ['-al', join(projectRoot, 'node_modules'), copy], { timeoutMs: LIMIT_MS });
}

async function build(root: string, out: string, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const options = { cwd: root, timeoutMs: LIMIT_MS, env: { ...env, SOURCE_DATE_EPOCH: String(EPOCH) } };
  await run(process.execPath, [join(root, 'build/tools/bundle.js')], options);
  // The lowest level of compression: the archives' content matters here, not their size.
  const args = ['--out', out, '--arch', ARCHITECTURE, '--level', '1'];
  await run(process.execPath, [join(root, 'build/tools/dist.js'), ...args], options);
}

async function digests(out: string): Promise<Record<string, string>> {
  const names = (await readdir(out)).sort();
  const read = async (name: string): Promise<[string, string]> => [
    name,
    createHash('sha256')
      .update(await readFile(join(out, name)))
      .digest('hex'),
  ];
  return Object.fromEntries(await Promise.all(names.map(read)));
}
