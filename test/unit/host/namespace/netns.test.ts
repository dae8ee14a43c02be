import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { isCode } from '../../../../src/base/errors.js';
import { bindMount, unmount } from '../../../../src/host/mount/mount-calls.js';
import { inNetns, netnsInode, netnsIsOpen, removeNetns } from '../../../../src/host/namespace/netns.js';
import { pinNamespaces } from '../../../../src/host/namespace/pin-namespaces.js';
import { countFds, folderFor } from '../helpers.js';

const here = (): string => readlinkSync('/proc/thread-self/ns/net');

test('a namespace is made, entered, left and removed', async (t) => {
  const path = join(folderFor(t), 'netns', 'cni-1');
  const home = here();
  const fds = countFds();
  await pinNamespaces({ paths: { net: path } });
  const inode = await netnsInode(path);
  const inside = inNetns(path, () => ({ netns: here(), up: Object.keys(networkInterfaces()) }));
  assert.throws(
    () =>
      inNetns(path, () => {
        throw new Error('inside');
      }),
    /inside/,
  );
  const open = await netnsIsOpen(path);
  const mode = statSync(dirname(path)).mode & 0o777;
  await removeNetns(path);
  await removeNetns(path);
  assert.deepEqual(
    { inside, open, mode, home: here(), after: await netnsIsOpen(path), fds: countFds() },
    { inside: { netns: `net:[${inode}]`, up: [] }, open: true, mode: 0o755, home, after: false, fds },
  );
  assert.notEqual(inside.netns, home);
});

test('an existing path is ALREADY_EXISTS and stays; a plain file is not a namespace', async (t) => {
  const path = join(folderFor(t), 'file');
  writeFileSync(path, 'mine');
  await assert.rejects(pinNamespaces({ paths: { net: path } }), (thrown) => isCode(thrown, 'ALREADY_EXISTS'));
  assert.equal(await netnsIsOpen(path), false);
  assert.throws(
    () => inNetns(path, () => 1),
    (thrown) => isCode(thrown, 'INVALID_ARGUMENT'),
  );
  assert.throws(
    () => inNetns(`${path}-none`, () => 1),
    (thrown) => isCode(thrown, 'NOT_FOUND'),
  );
});

test('asynchronous work is refused, on the way home', (t) => {
  const home = here();
  assert.throws(() => inNetns('/proc/self/ns/net', async () => undefined), /must be synchronous/);
  assert.equal(here(), home);
  t.diagnostic(home);
});

test('a namespace below a directory that was bound onto itself is removed', async (t) => {
  const directory = join(folderFor(t), 'netns');
  mkdirSync(directory);
  const [older, younger] = [join(directory, 'cni-1'), join(directory, 'cni-2')];
  await pinNamespaces({ paths: { net: older } });
  await bindMount(directory, directory, { recursive: true });
  await pinNamespaces({ paths: { net: younger } });
  for (const path of [older, younger]) await removeNetns(path);
  assert.deepEqual([await netnsIsOpen(older), await netnsIsOpen(younger), existsSync(younger)], [false, false, false]);
  await unmount(directory, { detach: true });
  await removeNetns(older);
  assert.equal(existsSync(older), false);
});
