import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isCode } from '../../../../src/base/errors.js';
import { netnsInode } from '../../../../src/host/namespace/netns.js';
import { pinNamespaces, pinOwnNamespace, unpinAll } from '../../../../src/host/namespace/pin-namespaces.js';
import { inNamespaces } from '../../../../src/host/namespace/thread-namespaces.js';
import { writeSysctls } from '../../../../src/host/namespace/write-sysctls.js';
import { countFds, folderFor } from '../helpers.js';

const TYPES = ['net', 'ipc', 'uts'] as const;
const here = (): string[] => TYPES.map((type) => readlinkSync(`/proc/thread-self/ns/${type}`));
const pathsIn = (folder: string) => ({
  net: join(folder, 'pinned', 'net'),
  ipc: join(folder, 'pinned', 'ipc'),
  uts: join(folder, 'pinned', 'uts'),
});
/** No host has these values from its start. */
const SHM = { path: '/proc/sys/kernel/shm_rmid_forced', namespace: 'ipc', value: '1' } as const;
const SOMAXCONN = { path: '/proc/sys/net/core/somaxconn', namespace: 'net', value: '1234' } as const;
/** An id of the host that stands for the root of a user namespace. */
const ROOT = 200_000;
const MAPPINGS = [{ containerID: 0, hostID: ROOT, size: 65_536 }];

test('namespaces are made with a host name and sysctls, this thread is back in its own, and nothing is left', async (t) => {
  const folder = folderFor(t);
  const [paths, home, name, fds] = [pathsIn(folder), here(), hostname(), countFds()];
  await pinNamespaces({ paths, hostname: 'inside' });
  const files = [SHM, SOMAXCONN];
  const values = (): string[] => files.map(({ path }) => readFileSync(path, 'utf8'));
  const ofHost = values();
  await writeSysctls(paths, files);
  const inside = inNamespaces(paths, () => ({
    here: here(),
    name: hostname(),
    sysctls: values(),
  }));
  const inodes = await Promise.all(TYPES.map((type) => netnsInode(paths[type])));
  assert.deepEqual(inside, {
    here: TYPES.map((type, index) => `${type}:[${inodes[index]}]`),
    name: 'inside',
    sysctls: ['1\n', '1234\n'],
  });
  await unpinAll(join(folder, 'pinned'));
  await unpinAll(join(folder, 'pinned'));
  assert.deepEqual(
    [here(), hostname(), values(), countFds(), TYPES.map((type) => existsSync(paths[type]))],
    [home, name, ofHost, fds, [false, false, false]],
  );
  assert.equal(new Set([...home, ...inside.here]).size, 6);
});

test('with a user namespace, that one owns the others, and its root sets the sysctls', async (t) => {
  const folder = folderFor(t);
  const paths = { ...pathsIn(folder), user: join(folder, 'pinned', 'user') };
  await pinNamespaces({ paths, userNamespace: { uids: MAPPINGS, gids: MAPPINGS }, hostname: 'mapped' });
  await writeSysctls(paths, [SHM, { path: '/proc/sys/net/ipv4/ping_group_range', namespace: 'net', value: '0 10' }]);
  const { user, ...others } = paths;
  const read = (path: string): string => inNamespaces(others, () => readFileSync(path, 'utf8'));
  assert.deepEqual(
    [read('/proc/sys/kernel/shm_rmid_forced'), read('/proc/sys/net/ipv4/ping_group_range').split(/\s+/).slice(0, 2)],
    // As the host's root sees these groups.
    ['1\n', [`${ROOT}`, `${ROOT + 10}`]],
  );
  assert.equal(inNamespaces(others, hostname), 'mapped');
  assert.ok(await netnsInode(user));
  await assert.rejects(writeSysctls(paths, [{ ...SOMAXCONN, path: '/proc/sys/net/ipv4/none' }]), /nsenter: .*none/);
  await unpinAll(join(folder, 'pinned'));
});

test('a path that exists is ALREADY_EXISTS and stays, and the paths before it are removed', async (t) => {
  const paths = pathsIn(folderFor(t));
  await pinOwnNamespace('uts', paths.uts);
  await assert.rejects(pinNamespaces({ paths }), (thrown) => isCode(thrown, 'ALREADY_EXISTS'));
  assert.deepEqual([existsSync(paths.net), existsSync(paths.ipc)], [false, false]);
  assert.equal(await netnsInode(paths.uts), statSync('/proc/self/ns/uts').ino);
  await unpinAll(join(paths.uts, '..'));
});

test('a sysctl that the kernel refuses is an error that names its file, on the way home', async (t) => {
  const folder = folderFor(t);
  const [paths, home] = [pathsIn(folder), here()];
  await pinNamespaces({ paths });
  await assert.rejects(writeSysctls(paths, [{ ...SOMAXCONN, value: 'many' }]), new RegExp(SOMAXCONN.path));
  assert.deepEqual(here(), home);
  await unpinAll(join(folder, 'pinned'));
});

test('a sysctl of a namespace that is not given, or outside /proc/sys, is not written', async (t) => {
  const folder = folderFor(t);
  const { net, ipc } = pathsIn(folder);
  await pinNamespaces({ paths: { net, ipc } });
  const before = readFileSync(SOMAXCONN.path, 'utf8');
  for (const [given, sysctl] of [
    [{ ipc }, SOMAXCONN],
    [
      { net, ipc },
      { ...SOMAXCONN, path: '/proc/sys/net/../kernel/hostname' },
    ],
    [
      { net, ipc },
      { ...SOMAXCONN, path: join(folder, 'file') },
    ],
  ] as const) {
    await assert.rejects(writeSysctls(given, [SHM, sysctl]), (thrown) => isCode(thrown, 'INTERNAL'));
  }
  assert.equal(readFileSync(SOMAXCONN.path, 'utf8'), before);
  assert.equal(
    inNamespaces({ ipc }, () => readFileSync(SHM.path, 'utf8')),
    '0\n',
  );
  await unpinAll(join(folder, 'pinned'));
});

test('a host name that the kernel refuses leaves nothing', async (t) => {
  const paths = pathsIn(folderFor(t));
  await assert.rejects(pinNamespaces({ paths, hostname: 'x'.repeat(100) }), /sethostname/);
  assert.deepEqual(
    TYPES.map((type) => existsSync(paths[type])),
    [false, false, false],
  );
  writeFileSync(paths.net, '');
});
