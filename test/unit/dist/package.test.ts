import assert from 'node:assert/strict';
import { lstat, mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { archiveEntries, emptyFolder } from '../../../tools/dist/build.js';
import { ZSH_COMPLETION } from '../../../tools/dist/completion/zsh.js';
import { control, debianFiles, debianVersion } from '../../../tools/dist/debian.js';
import { contracts, licenceOf } from '../../../tools/dist/licences.js';
import { goPart, npmPart, sbom } from '../../../tools/dist/sbom.js';
import { writeTree } from '../../../tools/dist/tree.js';
import { RELEASES } from '../../integration/protos/upstream.js';

const EPOCH = 1_700_000_000;

test('a pre-release has a lower Debian version than its release', () => {
  assert.deepEqual([debianVersion('1.0.0'), debianVersion('1.0.0-rc.1')], ['1.0.0-1', '1.0.0~rc.1-1']);
});

test('the control file names the architecture and the size in KiB', () => {
  const text = control({ version: '1.0.0', architecture: 'arm64', epoch: EPOCH }, 2049);
  assert.match(text, /^Version: 1\.0\.0-1\nArchitecture: arm64\n/m);
  assert.match(text, /^Installed-Size: 3$/m);
});

test('the list of parts names each part once, with its checksum in hexadecimal', () => {
  const part = {
    name: '@a/b',
    version: '1.2.3',
    license: 'MIT',
    integrity: `sha512-${Buffer.from('x').toString('base64')}`,
  };
  const contract = { name: 'example.org/c', version: 'v1.0.0', license: 'Apache-2.0', copyright: 'The authors of c' };
  const text = sbom([npmPart(part), goPart(contract)], { version: '1.0.0', architecture: 'amd64', epoch: EPOCH });
  const { packages, relationships, creationInfo } = JSON.parse(text) as {
    packages: Record<string, unknown>[];
    relationships: unknown[];
    creationInfo: { created: string };
  };
  assert.equal(creationInfo.created, '2023-11-14T22:13:20Z');
  assert.deepEqual(packages[1], {
    SPDXID: 'SPDXRef--a-b-1.2.3',
    name: '@a/b',
    versionInfo: '1.2.3',
    downloadLocation: 'https://registry.npmjs.org/@a/b/-/b-1.2.3.tgz',
    filesAnalyzed: false,
    checksums: [{ algorithm: 'SHA512', checksumValue: '78' }],
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: 'MIT',
    copyrightText: 'NOASSERTION',
    externalRefs: [
      { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: 'pkg:npm/%40a/b@1.2.3' },
    ],
  });
  assert.deepEqual(relationships[1], {
    spdxElementId: 'SPDXRef-crid',
    relationshipType: 'CONTAINS',
    relatedSpdxElement: 'SPDXRef--a-b-1.2.3',
  });
  assert.deepEqual(packages[2], {
    SPDXID: 'SPDXRef-example.org-c-v1.0.0',
    name: 'example.org/c',
    versionInfo: 'v1.0.0',
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: 'Apache-2.0',
    copyrightText: 'The authors of c',
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: 'pkg:golang/example.org/c@v1.0.0',
      },
    ],
  });
});

test('the contracts with their licences are those that protos/ is compared with', async () => {
  const own = RELEASES.find(({ isOwn }) => isOwn)?.modules ?? [];
  const versions = (list: readonly { name: string; version: string }[]): string[] =>
    list.map(({ name, version }) => `${name} ${version}`).sort();
  assert.deepEqual(versions(await contracts()), versions(own));
});

test('a package without a text of its licence is an error, unless packaging/licences/ has one', async (t) => {
  const folder = await temporary(t);
  const describe = (name: string): Promise<void> =>
    writeFile(join(folder, 'package.json'), JSON.stringify({ name, version: '1.0.0', license: 'MIT' }));
  await describe('@nobody/nothing');
  await assert.rejects(licenceOf(folder), /^Error: @nobody\/nothing has no text of its licence/);
  await describe('@bufbuild/protobuf');
  assert.match((await licenceOf(folder)).texts.join(''), /Copyright 2008 Google/);
});

test('the archive has no entry for a folder that other programs share', () => {
  const files = ['bin/crid', 'lib/crid/bin/node', 'lib/systemd/system/crid.service', 'share/doc/crid/examples/a'];
  assert.deepEqual(archiveEntries(files.map((path) => ({ path }))), [
    'bin/crid',
    'lib/crid',
    'lib/crid/bin',
    'lib/crid/bin/node',
    'lib/systemd/system/crid.service',
    'share/doc/crid',
    'share/doc/crid/examples',
    'share/doc/crid/examples/a',
  ]);
});

test('a build removes packages of an earlier one, and refuses a folder with other files', async (t) => {
  const folder = await temporary(t);
  const write = (name: string): Promise<void> => writeFile(join(folder, name), '');
  const packages = ['crid-1.0.0-linux-amd64.tar.gz', 'crid_1.0.0-1_amd64.deb', 'SHA256SUMS'];
  await Promise.all([...packages, 'letters'].map(write));
  await assert.rejects(emptyFolder(folder), /has other files than packages: letters$/);
  assert.equal((await readdir(folder)).length, 4);
  await rm(join(folder, 'letters'));
  await emptyFolder(folder);
  assert.deepEqual(await readdir(folder), []);
});

test('the Debian package has nothing in /etc, and the sums of its files by path', async () => {
  const files = ['z', 'a', 'm'].map((path) => ({ path, content: { text: path } }));
  const edition = { version: '1.0.0', architecture: 'amd64', epoch: EPOCH } as const;
  const made = await debianFiles({ files, unit: (program) => program }, edition);
  const paths = made.map(({ path }) => path);
  assert.deepEqual(
    paths.filter((path) => !path.startsWith('usr/')).sort(),
    ['control', 'md5sums', 'postinst', 'postrm', 'prerm'].map((name) => `DEBIAN/${name}`),
  );
  const sums = made.find(({ path }) => path === 'DEBIAN/md5sums')?.content;
  assert.ok(sums && 'text' in sums);
  assert.deepEqual(
    String(sums.text)
      .trim()
      .split('\n')
      .map((line) => line.slice(34)),
    paths.filter((path) => path.startsWith('usr/')).sort(),
  );
});

test("the completion for zsh is where Debian's zsh looks for it", async () => {
  const files = [{ path: ZSH_COMPLETION, content: { text: '' } }];
  const edition = { version: '1.0.0', architecture: 'amd64', epoch: EPOCH } as const;
  const made = await debianFiles({ files, unit: (program) => program }, edition);
  assert.deepEqual(
    made.map(({ path }) => path).filter((path) => path.includes('zsh')),
    ['usr/share/zsh/vendor-completions/_crid'],
  );
});

test('files have the same modes and times under any umask', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'crid-tree-'));
  const before = process.umask(0o077);
  t.after(() => {
    process.umask(before);
    return rm(root, { recursive: true });
  });
  const files = [
    { path: 'lib/crid/run', content: { text: 'x' }, isProgram: true },
    { path: 'lib/crid/text', content: { text: 'y' } },
    { path: 'bin/crid', content: { link: '../lib/crid/run' } },
  ];
  await writeTree(root, files, EPOCH);
  const seen = async (path: string): Promise<unknown[]> => {
    const { mode, mtimeMs, isSymbolicLink } = await lstat(join(root, path)).then((stat) => ({
      mode: (stat.mode & 0o777).toString(8),
      mtimeMs: stat.mtimeMs,
      isSymbolicLink: stat.isSymbolicLink(),
    }));
    return [path, isSymbolicLink ? await readlink(join(root, path)) : mode, mtimeMs / 1000];
  };
  assert.deepEqual(await Promise.all((await readdir(root, { recursive: true })).sort().map(seen)), [
    ['bin', '755', EPOCH],
    ['bin/crid', '../lib/crid/run', EPOCH],
    ['lib', '755', EPOCH],
    ['lib/crid', '755', EPOCH],
    ['lib/crid/run', '755', EPOCH],
    ['lib/crid/text', '644', EPOCH],
  ]);
  assert.equal(await readFile(join(root, 'bin/crid'), 'utf8'), 'x');
});

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-dist-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}
