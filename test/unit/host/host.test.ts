import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isCode } from '../../../src/base/errors.js';
import {
  cgroupControllers,
  cgroupPathsOf,
  cgroupVersion,
  oomKillCount,
  parseCgroupPaths,
} from '../../../src/host/cgroup/cgroups.js';
import { listDevices, statDevice } from '../../../src/host/files/device-nodes.js';
import type * as Files from '../../../src/host/files/files.js';
import { removeTree } from '../../../src/host/files/files.js';
import { mountTmpfs, unmount } from '../../../src/host/mount/mount-calls.js';
import { makeFifo, openFifoRead, openFifoWrite, setPipeSize } from '../../../src/host/pipe/fifo.js';
import { kill, processExists, processStartTime, signalNumber } from '../../../src/host/process/processes.js';
import { readSeccompProfile } from '../../../src/host/security/host-seccomp.js';
import { folderFor } from './helpers.js';
import { closeSync } from 'node:fs';

test('signals by name and number', () => {
  const names = ['SIGTERM', 'term', '15', 'SIGKILL', 'SIGRTMIN', 'RTMIN+3', 'sigrtmax', 'SIGRTMAX-1', '64'];
  assert.deepEqual(names.map(signalNumber), [15, 15, 15, 9, 34, 37, 64, 63, 64]);
  for (const bad of ['', '0', '65', 'SIGNOPE', 'RTMIN-1', 'RTMAX+1', '-1', '1x', 'SIGRTMIN+31']) {
    assert.throws(
      () => signalNumber(bad),
      (thrown) => isCode(thrown, 'INVALID_ARGUMENT'),
      bad,
    );
  }
});

test('a running process is distinguished from one that has exited', async () => {
  const child = spawn('sleep', ['60']);
  const pid = child.pid ?? 0;
  const alive = [processExists(pid), ((await processStartTime(pid)) ?? 0) > 0];
  kill(pid, 9);
  await new Promise((resolve) => child.once('exit', resolve));
  assert.deepEqual([alive, processExists(pid), await processStartTime(pid)], [[true, true], false, undefined]);
  assert.throws(
    () => kill(pid, 15),
    (thrown) => isCode(thrown, 'NOT_FOUND'),
  );
  for (const group of [0, -1])
    assert.throws(
      () => kill(group, 0),
      (thrown) => isCode(thrown, 'INVALID_ARGUMENT'),
    );
});

test('modes are exact whatever the umask', async (t) => {
  const folder = folderFor(t);
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  const mode = (path: string): number => statSync(join(folder, path)).mode & 0o7777;
  // Another instance of the module, which reads the umask when it is loaded.
  const again = '../../../src/host/files/files.js?umask=077';
  const { ensureDirectory, ensureDirectoryNow, writeFileAtomic } = (await import(again)) as typeof Files;
  await ensureDirectory(join(folder, 'a', 'b'), 0o755);
  ensureDirectoryNow(join(folder, 'e', 'f'), 0o755);
  process.umask(0);
  await ensureDirectory(join(folder, 'c', 'd'));
  mkdirSync(join(folder, 'loose'), 0o777);
  await ensureDirectory(join(folder, 'loose'));
  await writeFileAtomic(join(folder, 'file'), 'one', { mode: 0o644 });
  await writeFileAtomic(join(folder, 'file'), 'two', { mode: 0o600, sync: false });
  assert.deepEqual(
    {
      modes: ['a', 'a/b', 'c', 'c/d', 'e', 'e/f', 'loose', 'file'].map(mode),
      text: readFileSync(join(folder, 'file'), 'utf8'),
      names: readdirSync(folder).sort(),
    },
    {
      modes: [0o755, 0o755, 0o700, 0o700, 0o755, 0o755, 0o700, 0o600],
      text: 'two',
      names: ['a', 'c', 'e', 'file', 'loose'],
    },
  );
});

test('a tree is removed without following links or crossing a mount', async (t) => {
  const folder = folderFor(t);
  const [tree, other] = [join(folder, 'tree'), join(folder, 'other')];
  mkdirSync(join(tree, 'mnt'), { recursive: true });
  mkdirSync(other);
  writeFileSync(join(other, 'kept'), '');
  symlinkSync(other, join(tree, 'link'));
  await mountTmpfs(join(tree, 'mnt'), { sizeBytes: 4096, mode: 0o700 });
  // The second is empty, but is a mount point and must not be removed like a directory.
  for (const path of [tree, join(tree, 'mnt')]) {
    await assert.rejects(removeTree(path), {
      code: 'FAILED_PRECONDITION',
      message: `remove ${path}: tmpfs is mounted at ${tree}/mnt`,
    });
  }
  assert.equal(existsSync(join(tree, 'link')), true);
  await unmount(join(tree, 'mnt'), { detach: false });
  for (let turn = 0; turn < 2; turn += 1) await removeTree([tree, join(tree, 'mnt')]);
  await removeTree(join(folder, 'none', 'below'));
  assert.deepEqual([existsSync(tree), existsSync(join(other, 'kept'))], [false, true]);
});

test('a seccomp profile is read only from a regular file of at most 1 MiB', { timeout: 20_000 }, async (t) => {
  const folder = folderFor(t);
  const of = (name: string) => readSeccompProfile(join(folder, name), 'ref');
  writeFileSync(join(folder, 'good'), '{"a":1}');
  symlinkSync('good', join(folder, 'link'));
  writeFileSync(join(folder, 'large'), ' '.repeat(1024 * 1024 + 1));
  symlinkSync('/dev/zero', join(folder, 'zero'));
  makeFifo(join(folder, 'fifo'), 0o600);
  assert.deepEqual(await Promise.all(['good', 'link'].map(of)), [{ a: 1 }, { a: 1 }]);
  for (const [name, problem] of [
    ['fifo', 'not a regular file'],
    ['zero', 'not a regular file'],
    ['', 'not a regular file'],
    ['large', 'larger than 1048576 bytes'],
  ] as const) {
    const path = join(folder, name);
    await assert.rejects(of(name), {
      code: 'INVALID_ARGUMENT',
      message: `ref: "${path}" cannot be used: read ${path}: ${problem}`,
    });
  }
});

test('devices are described and listed', async (t) => {
  const folder = folderFor(t);
  symlinkSync('/dev', join(folder, 'dev'));
  symlinkSync('/dev/null', join(folder, 'null'));
  const listed = (await listDevices(join(folder, 'dev'))).map((device) => device.path);
  const isOwn = /\/dev\/(pts|shm|fd|mqueue|console)(\/|$)/;
  const device = await statDevice(join(folder, 'null'));
  assert.deepEqual(
    {
      device: typeof device === 'object' && { ...device, mode: 0 },
      others: await Promise.all([folder, join(folder, 'none'), import.meta.filename ?? '/etc/hosts'].map(statDevice)),
      hasNull: listed.includes(join(folder, 'dev', 'null')),
      unwanted: listed.filter((path) => isOwn.test(path)),
    },
    {
      device: { path: join(folder, 'null'), type: 'c', major: 1, minor: 3, mode: 0, uid: 0, gid: 0 },
      others: ['directory', undefined, undefined],
      hasNull: true,
      unwanted: [],
    },
  );
});

test('a FIFO opens without waiting, and only a FIFO', (t) => {
  const folder = folderFor(t);
  const path = join(folder, 'fifo');
  makeFifo(path, 0o600);
  assert.throws(
    () => openFifoWrite(path),
    (thrown) => isCode(thrown, 'FAILED_PRECONDITION'),
  );
  const reader = openFifoRead(path);
  const writer = openFifoWrite(path);
  assert.equal(setPipeSize(reader, 1024 * 1024), 1024 * 1024);
  closeSync(reader);
  closeSync(writer);
  symlinkSync(path, join(folder, 'link'));
  writeFileSync(join(folder, 'file'), '');
  assert.throws(
    () => openFifoRead(join(folder, 'link')),
    (thrown) => isCode(thrown, 'INTERNAL'),
  );
  assert.throws(
    () => openFifoRead(join(folder, 'file')),
    (thrown) => isCode(thrown, 'INVALID_ARGUMENT'),
  );
  assert.throws(
    () => openFifoRead(join(folder, 'none')),
    (thrown) => isCode(thrown, 'NOT_FOUND'),
  );
  assert.throws(
    () => makeFifo(path, 0o600),
    (thrown) => isCode(thrown, 'ALREADY_EXISTS'),
  );
});

test('cgroups are found by process', async () => {
  assert.deepEqual(
    [...parseCgroupPaths('4:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/u\n')],
    [
      ['cpu', '/a:b'],
      ['cpuacct', '/a:b'],
      ['name=systemd', '/'],
      ['', '/u'],
    ],
  );
  const paths = await cgroupPathsOf(process.pid);
  const { names } = await cgroupControllers();
  const count = await oomKillCount(process.pid);
  assert.deepEqual(
    {
      found: paths?.has(cgroupVersion() === 2 ? '' : 'memory'),
      foreign: [...names].filter((name) => !/^[a-z_]+$/.test(name)),
      counted: count === undefined || count >= 0,
      gone: [await cgroupPathsOf(2 ** 30), await oomKillCount(2 ** 30), await oomKillCount('/no/such/cgroup')],
    },
    { found: true, foreign: [], counted: true, gone: [undefined, undefined, undefined] },
  );
});
