import assert from 'node:assert/strict';
import { chown, lstat, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { newFile } from '../../../src/migrate/move-node.js';
import { filesBelow } from '../../../src/migrate/node-files.js';

const isRoot = process.getuid?.() === 0;

test('a file keeps its owner and mode when it is replaced, also behind a link', async () => {
  const root = await mkdtemp(join(tmpdir(), 'crid-files-'));
  const files = filesBelow(root);
  await mkdir(join(root, 'etc'));
  await writeFile(join(root, 'etc/real'), 'old', { mode: 0o640 });
  const owner = isRoot ? { uid: 1234, gid: 5678 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  await chown(join(root, 'etc/real'), owner.uid, owner.gid);
  await symlink('real', join(root, 'etc/link'));
  const read = await files.read('/etc/link');
  assert.deepEqual(read, { text: 'old', mode: 0o640, ...owner });
  await files.write('/etc/link', { ...read, text: 'new' });
  assert.deepEqual(await files.read('/etc/real'), { text: 'new', mode: 0o640, ...owner });
  assert.ok((await lstat(join(root, 'etc/link'))).isSymbolicLink());
  assert.equal(await readFile(join(root, 'etc/real'), 'utf8'), 'new');
});

test('missing files and folders are no error, and a write makes the folders', { skip: !isRoot }, async () => {
  const files = filesBelow(await mkdtemp(join(tmpdir(), 'crid-files-')));
  assert.deepEqual(
    [await files.read('/etc/a'), await files.names('/etc'), await files.containerdConfig('/etc/a')],
    [undefined, [], undefined],
  );
  await files.remove('/etc/a');
  await files.write('/etc/d/a', newFile('x'));
  assert.deepEqual([await files.read('/etc/d/a'), await files.names('/etc/d')], [newFile('x'), ['a']]);
});

test('the folder of the last drop-in is removed with it, and no other folder', { skip: !isRoot }, async () => {
  const files = filesBelow(await mkdtemp(join(tmpdir(), 'crid-files-')));
  for (const path of ['/etc/one.d/a', '/etc/two.d/a', '/etc/two.d/b', '/etc/three/a'])
    await files.write(path, newFile('x'));
  for (const path of ['/etc/one.d/a', '/etc/two.d/a', '/etc/three/a']) await files.remove(path);
  assert.deepEqual(await files.names('/etc'), ['three', 'two.d']);
});

test('a path that is no file is an error that names it', async () => {
  const files = filesBelow(await mkdtemp(join(tmpdir(), 'crid-files-')));
  await assert.rejects(files.read('/'), /EISDIR/);
});
