import assert from 'node:assert/strict';
import { mkdirSync, openSync, closeSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isCode } from '../../../../src/base/errors.js';
import { bindMount, isMountPoint, mountTmpfs, readMountInfo, unmount } from '../../../../src/host/mount/mount-calls.js';
import { mountOf, parseMountInfo } from '../../../../src/host/mount/mountinfo.js';
import { folderFor } from '../helpers.js';

test('a tmpfs has its size and mode, and unmounting is idempotent', async (t) => {
  const target = join(folderFor(t), 'shm with space');
  mkdirSync(target);
  await mountTmpfs(target, { sizeBytes: 1024 * 1024, mode: 0o1777 });
  const mounted = mountOf(join(target, 'file'), await readMountInfo());
  const before = { mode: statSync(target).mode & 0o7777, isMountPoint: await isMountPoint(target) };
  assert.throws(() => writeFileSync(join(target, 'big'), Buffer.alloc(2 * 1024 * 1024)), { code: 'ENOSPC' });
  for (let turn = 0; turn < 2; turn += 1) await unmount(target, { detach: false });
  await unmount(join(target, 'missing'), { detach: true });
  assert.deepEqual(
    { before, mountPoint: mounted?.mountPoint, fstype: mounted?.fstype, after: await isMountPoint(target) },
    { before: { mode: 0o1777, isMountPoint: true }, mountPoint: target, fstype: 'tmpfs', after: false },
  );
});

test('a read-only bind keeps the flags of its source, and a busy mount is detached', async (t) => {
  const folder = folderFor(t);
  const [source, target] = [join(folder, 'source'), join(folder, 'target')];
  mkdirSync(source);
  mkdirSync(target);
  await mountTmpfs(source, { sizeBytes: 4096, mode: 0o755 });
  writeFileSync(join(source, 'file'), 'x');
  await bindMount(source, target, { readonly: true, recursive: true });
  const options = mountOf(target, await readMountInfo())?.options.filter((option) => option !== 'relatime');
  assert.throws(() => writeFileSync(join(target, 'file'), 'y'), { code: 'EROFS' });
  const busy = openSync(join(target, 'file'), 'r');
  await unmount(target, { detach: false });
  closeSync(busy);
  await unmount(source, { detach: false });
  assert.deepEqual([options, readdirSync(target)], [['ro', 'nosuid', 'nodev', 'noexec'], []]);
});

test('a missing source is NOT_FOUND', async (t) => {
  const folder = folderFor(t);
  await assert.rejects(bindMount(join(folder, 'none'), folder), (thrown) => isCode(thrown, 'NOT_FOUND'));
});

test('mountinfo is parsed with escapes, propagation and stacked mounts', () => {
  const infos = parseMountInfo(
    [
      '27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard',
      '40 27 0:33 /sub/a\\040b /mnt/x\\011y\\134z ro,nosuid shared:7 master:3 propagate_from:2 - tmpfs a\\040b rw,size=4k',
      '41 27 0:34 / /mnt/x\\011y\\134z rw unbindable - tmpfs top rw',
      '42 27 0:35 / /mntother rw master:9 - tmpfs other rw',
      '',
    ].join('\n'),
  );
  assert.deepEqual(infos[1], {
    id: 40,
    parentId: 27,
    device: '0:33',
    root: '/sub/a b',
    mountPoint: '/mnt/x\ty\\z',
    options: ['ro', 'nosuid'],
    sharedId: 7,
    masterId: 3,
    unbindable: false,
    fstype: 'tmpfs',
    source: 'a b',
    superOptions: ['rw', 'size=4k'],
  });
  assert.deepEqual(
    ['/', '/mnt', '/mnt/x\ty\\z/q', '/mntother', '/mntotherwise'].map((path) => mountOf(path, infos)?.id),
    [27, 27, 41, 42, 27],
  );
});
