import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { clearSocket, listenProtected, socketPath } from '../../../src/base/protected-socket.js';

let dir = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crid-socket-'));
});
after(() => rm(dir, { recursive: true }));

const code = (thrown: unknown) => thrown instanceof CriError && thrown.code;

test('addresses are unix paths that the kernel accepts', () => {
  assert.deepEqual(
    ['unix:///run/a.sock', 'unix:/run/a.sock', '/run/a.sock'].map((each) => socketPath(each)),
    Array(3).fill('/run/a.sock'),
  );
  assert.throws(() => socketPath('tcp://127.0.0.1:1'), { message: /^listen: expected unix/ });
  assert.throws(() => socketPath('@abstract'), { message: /^listen: expected unix/ });
  assert.throws(() => socketPath(`/${'x'.repeat(107)}`), { message: /longer than the 107 bytes/ });
});

test('missing directories are created and a stale socket is replaced', async () => {
  const path = join(dir, 'deep/er/crid.sock');
  await clearSocket(path);
  // The socket of a killed server stays.
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  await new Promise((resolve) => spawn(process.execPath, ['-e', script, path]).once('exit', resolve));
  assert.ok((await stat(path)).isSocket());
  await clearSocket(path);
  await assert.rejects(stat(path), { code: 'ENOENT' });
});

test('a live socket and a file that is not a socket are not touched', async () => {
  const live = join(dir, 'live.sock');
  const server = createServer().listen(live);
  await new Promise((resolve) => server.once('listening', resolve));
  await assert.rejects(clearSocket(live), (thrown) => code(thrown) === 'ALREADY_EXISTS');
  await new Promise((resolve) => server.close(resolve));
  const file = join(dir, 'file');
  await writeFile(file, 'kept');
  await assert.rejects(clearSocket(file), (thrown) => code(thrown) === 'ALREADY_EXISTS');
});

test('a socket appears with its final mode, and only its own server removes it', async () => {
  const path = join(dir, 'own.sock');
  const server = createServer();
  const umask = process.umask();
  const seen: unknown[] = [];
  const remove = await listenProtected(path, 0, async (hidden) => {
    await new Promise((resolve) => server.listen(hidden, () => resolve(undefined)));
    const folder = await stat(dirname(hidden));
    seen.push((folder.mode & 0o7777).toString(8), process.umask() === umask, await stat(path).catch(() => 'hidden'));
  });
  const found = await stat(path);
  assert.deepEqual([...seen, (found.mode & 0o7777).toString(8)], ['700', true, 'hidden', '660']);
  await rm(path);
  await writeFile(path, 'of another server');
  await remove();
  assert.equal((await stat(path)).isFile(), true);
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.startsWith('.')),
    [],
  );
  await new Promise((resolve) => server.close(resolve));
});
