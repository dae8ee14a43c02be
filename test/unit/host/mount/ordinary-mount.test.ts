import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { errnoName } from '../../../../src/host/syscall/errno.js';
import { kernelProblems } from '../../../../src/host/syscall/kernel.js';
import { walkInRoot } from '../../../../src/host/files/walk-in-root.js';
import { clearScratch, mountOrdinary } from '../../../../src/host/mount/ordinary-mount.js';
import { unmount } from '../../../../src/host/mount/mount-calls.js';
import type { RootfsMount } from '../../../../src/host/mount/detached-mount.js';
import { mountSnapshot } from '../../../../src/host/mount/snapshot-mount.js';
import { folderFor, mountTable } from '../helpers.js';

/** Runs a program with the calls missing, and returns what it prints. */
function without(calls: string, program: string): unknown {
  const source = (path: string): string => fileURLToPath(new URL(`../../../../src/${path}`, import.meta.url));
  const text = `
    const { openRootfs } = await import('${source('host/files/rootfs.js')}');
    const { mountSnapshot } = await import('${source('host/mount/snapshot-mount.js')}');
    const { kernelProblems } = await import('${source('host/syscall/kernel.js')}');
    const text = async (rootfs, path) => {
      let all = '';
      return (await rootfs.readFile(path, (bytes) => (all += bytes) !== '')) ? all : undefined;
    };
    console.log(JSON.stringify(await (async () => { ${program} })()));`;
  const env = { ...process.env, CRID_FAULT_ENOSYS: calls };
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', text], {
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const OLD = 'open_tree,move_mount,fsopen,fsconfig,fsmount,openat2,mount_setattr';

function layers(folder: string): { overlay: object; lower: string; scratch: string } {
  const [upper, lower, scratch] = [join(folder, 'upper'), join(folder, 'lower'), join(folder, 'scratch')];
  for (const path of [upper, join(lower, 'etc')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(lower, 'etc', 'passwd'), 'inside');
  writeFileSync(join(upper, 'new'), 'on top');
  writeFileSync(join(folder, 'secret'), 'the host');
  symlinkSync('/etc/passwd', join(lower, 'link'));
  symlinkSync(`../../../../../..${folder}/secret`, join(lower, 'out'));
  const options = [`workdir=${folder}/work`, `upperdir=${upper}`, `lowerdir=${lower}`, 'index=off'];
  return { overlay: { type: 'overlay', source: 'overlay', target: '', options }, lower, scratch };
}

test('without the calls for detached mounts a rootfs is read all the same, and no mount stays', (t) => {
  const folder = folderFor(t);
  const { overlay, lower, scratch } = layers(folder);
  const bind = { type: 'bind', source: lower, target: '', options: ['rbind', 'ro'] };
  const read = `
    const found = [];
    for (const mount of ${JSON.stringify([overlay, bind])}) {
      const rootfs = await openRootfs([mount], '${scratch}');
      const read = [];
      for (const path of ['/etc/passwd', 'link', '/new', '/out', '../etc/./passwd', '/etc/passwd/x']) read.push(await text(rootfs, path));
      found.push([...read, await rootfs.realPath('/link'), await rootfs.realPath('/'), (await rootfs.lstat('/link'))?.kind]);
      await rootfs.close();
    }
    return found;`;
  const of = (top: string | null) => ['inside', 'inside', top, null, 'inside', null, '/etc/passwd', '/', 'symlink'];
  for (const calls of ['', 'fsopen', 'openat2', 'mount_setattr', OLD]) {
    assert.deepEqual([calls, without(calls, read)], [calls, [of('on top'), of(null)]]);
  }
  assert.deepEqual([mountTable().includes(folder), readdirSync(scratch)], [false, []]);
});

test('without those calls an image is mounted read-only as a volume; a mapped one is an error', async (t) => {
  const folder = folderFor(t);
  const { overlay } = layers(folder);
  const target = join(folder, 'target');
  mkdirSync(target);
  const mounted = without(
    OLD,
    `await mountSnapshot([${JSON.stringify(overlay)}], '${target}');
     const { readFileSync, writeFileSync } = await import('node:fs');
     const { unmount } = await import('${fileURLToPath(new URL('../../../../src/host/mount/mount-calls.js', import.meta.url))}');
     let write = 'written';
     try { writeFileSync('${target}/x', ''); } catch (thrown) { write = thrown.code; }
     const found = [readFileSync('${target}/new', 'utf8'), write];
     await unmount('${target}', { detach: true });
     const mapped = await mountSnapshot([${JSON.stringify(overlay)}], '${target}', { usernsPath: '/proc/self/ns/user' })
       .catch((thrown) => thrown.code + ' ' + thrown.message);
     return [...found, mapped];`,
  ) as string[];
  assert.deepEqual(mounted.slice(0, 2), ['on top', 'EROFS']);
  assert.match(
    mounted[2] ?? '',
    /^FAILED_PRECONDITION open_tree .*: this kernel has no open_tree, which came with Linux 5.2$/,
  );
  assert.equal(mountTable().includes(folder), false);
  assert.deepEqual(readdirSync(folder).sort(), ['lower', 'secret', 'target', 'upper']);
});

test('a mount that a kill has left is removed at the next start', async (t) => {
  const folder = folderFor(t);
  const { lower, scratch } = layers(folder);
  const left = join(scratch, 'rootfs-abc');
  mkdirSync(left, { recursive: true });
  await mountOrdinary({ type: 'bind', source: lower, target: '', options: ['rbind'] }, left);
  await clearScratch(scratch, assert.fail);
  assert.deepEqual([mountTable().includes(folder), readdirSync(scratch)], [false, []]);
  await clearScratch(join(folder, 'none'), assert.fail);
});

test('what cannot be removed from the scratch directory is told, and the rest is removed', async (t) => {
  const folder = folderFor(t);
  const { lower, scratch } = layers(folder);
  const [full, left] = [join(scratch, 'full'), join(scratch, 'rootfs-abc')];
  for (const path of [join(full, 'file'), left]) mkdirSync(path, { recursive: true });
  writeFileSync(join(scratch, 'file'), '');
  await mountOrdinary({ type: 'bind', source: lower, target: '', options: ['rbind'] }, left);
  const told: string[] = [];
  const tell = (path: string, error: unknown): number => told.push(`${path.slice(folder.length)} ${errnoName(error)}`);
  await clearScratch(scratch, tell);
  await clearScratch(join(scratch, 'file'), tell);
  assert.deepEqual(told, ['/scratch/file ENOTDIR', '/scratch/full ENOTEMPTY', '/scratch/file ENOTDIR']);
  assert.deepEqual([mountTable().includes(folder), readdirSync(scratch)], [false, ['file', 'full']]);
});

test('a rootfs whose mount cannot be detached is an error, and its descriptor is closed', async (t) => {
  const folder = folderFor(t);
  const { overlay, scratch } = layers(folder);
  const left = without(
    `${OLD},umount2`,
    `const { readdirSync, readlinkSync } = await import('node:fs');
     const linkOf = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } };
     const failed = await openRootfs([${JSON.stringify(overlay)}], '${scratch}').then(() => 'opened', () => 'failed');
     return [failed, ...readdirSync('/proc/self/fd').map(linkOf).filter((path) => path.startsWith('${scratch}'))];`,
  );
  for (const name of readdirSync(scratch)) await unmount(join(scratch, name), { detach: true });
  assert.deepEqual(left, ['failed']);
});

test('a layer that a kill has left of a mapped volume does not fail the next mount', async (t) => {
  if (kernelProblems().length > 0) return t.skip('the kernel has no mapped mounts');
  const folder = folderFor(t);
  const { overlay, lower } = layers(folder);
  const target = join(folder, 'target');
  for (const path of [target, `${target}.0`]) mkdirSync(path);
  await mountOrdinary({ type: 'bind', source: lower, target: '', options: ['rbind'] }, `${target}.0`);
  const program = spawn('unshare', ['--user', '--map-root-user', 'sh', '-c', 'echo; read wait'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => program.stdin.end());
  await once(program.stdout, 'data');
  try {
    const usernsPath = `/proc/${program.pid}/ns/user`;
    await mountSnapshot([overlay as RootfsMount], target, { usernsPath });
    assert.deepEqual(readdirSync(target).sort(), ['etc', 'link', 'new', 'out']);
  } finally {
    for (const path of [target, `${target}.0`]) await unmount(path, { detach: true });
  }
  assert.deepEqual(readdirSync(folder).sort(), ['lower', 'secret', 'target', 'upper']);
});

test('the missing calls are named', () => {
  const problems = without('openat2,fsopen', 'return kernelProblems();') as string[];
  assert.deepEqual(
    problems.map((problem) => problem.replace(/^Linux \S+: /, '')),
    [
      'this kernel has no fsopen, which came with Linux 5.2; needed for images as volumes of a pod with a user namespace',
    ],
  );
});

test('a walk inside a directory: links, dots, loops and directories as with openat2', (t) => {
  const folder = folderFor(t);
  const root = join(folder, 'root');
  mkdirSync(join(root, 'a', 'b'), { recursive: true });
  writeFileSync(join(root, 'a', 'file'), '');
  for (const [name, target] of Object.entries({
    abs: '/a/b',
    up: 'a/b/../../../..',
    loop: 'loop',
    chain: 'abs/../file',
  })) {
    symlinkSync(target, join(root, name));
  }
  const fd = openSync(root, 0);
  t.after(() => closeSync(fd));
  const { O_DIRECTORY, O_NOFOLLOW } = { O_DIRECTORY: 0o200000, O_NOFOLLOW: 0o400000 };
  const at = (path: string, flags = 0): string => {
    try {
      const found = walkInRoot(fd, path, flags);
      const real = readlinkSync(`/proc/self/fd/${found}`).slice(root.length);
      closeSync(found);
      return real;
    } catch (thrown) {
      return errnoName(thrown) ?? String(thrown);
    }
  };
  assert.deepEqual(
    [at('abs'), at('up'), at('loop'), at('chain'), at('/../..//a/./b/..'), at('abs/none'), at('a/file/x'), at('abs/')],
    ['/a/b', '', 'ELOOP', '/a/file', '/a', 'ENOENT', 'ENOTDIR', '/a/b'],
  );
  assert.deepEqual(
    [at('abs', O_NOFOLLOW), at('abs/..', O_NOFOLLOW), at('a/file', O_DIRECTORY), at('chain/', 0), at('', O_DIRECTORY)],
    ['/abs', '/a', 'ENOTDIR', 'ENOTDIR', ''],
  );
});
