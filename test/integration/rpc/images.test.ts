import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { freePort } from '../../../tools/stack/ports.js';
import type { AuthConfig, Image } from '../../../generated/runtime/v1/api.js';
import { basic, demanding, startProxy, type Guard, type RegistryProxy } from './registry-proxy.js';
import { assertFails, failureOf, startSuite, type BadRequest } from './suite.js';

const suite = startSuite();
const LAYERS = 'docker.io/crid-test/many-layers:latest';
const PASSWORD = 'correct-horse-battery';

const pull = async (image: string, auth?: Partial<AuthConfig>): Promise<string> =>
  (await suite.crid.images.pullImage({ image: { image }, ...(auth && { auth }) })).image_ref;

const statusOf = async (image: string): Promise<Image | undefined> =>
  (await suite.crid.images.imageStatus({ image: { image } })).image;

const remove = (image: string): Promise<unknown> => suite.crid.images.removeImage({ image: { image } });

async function proxyFor(t: TestContext, guard?: Guard): Promise<RegistryProxy> {
  const proxy = await startProxy(suite.stack.registry.url, guard);
  t.after(() => proxy.close());
  return proxy;
}

test('errors of bad requests have the right code and name the image', async (t) => {
  const { images } = suite.crid;
  const port = await freePort();
  const down = `127.0.0.1:${port}/team/app:1`;
  const unknown = 'docker.io/crid-test/no-such-image:1';
  const requests: BadRequest[] = [
    ['pull of none', () => images.pullImage({}), 'INVALID_ARGUMENT', 'image.image'],
    ['pull of what is no reference', () => pull('Not A Reference'), 'INVALID_ARGUMENT', 'Not A Reference'],
    ['pull of an unknown image', () => pull(unknown), 'NOT_FOUND', unknown],
    ['pull of an unknown tag', () => pull('docker.io/library/busybox:no-tag'), 'NOT_FOUND', 'busybox:no-tag'],
    ['pull from a registry that is down', () => pull(down), 'UNKNOWN', 'RegistryUnavailable: ', `127.0.0.1:${port}`],
    [
      'pull for an unknown handler',
      () => images.pullImage({ image: { image: LAYERS, runtime_handler: 'kata' } }),
      'INVALID_ARGUMENT',
      '"kata"',
    ],
    ['status of none', () => images.imageStatus({}), 'INVALID_ARGUMENT', 'image.image'],
    ['removal of none', () => images.removeImage({}), 'INVALID_ARGUMENT', 'image.image'],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
  assert.deepEqual([await statusOf(unknown), await remove(unknown)], [undefined, {}]);
  await suite.assertNothingLeft();
});

test('credentials: missing and wrong ones are refused and shown nowhere, right ones work in any form', async (t) => {
  const proxy = await proxyFor(t, demanding('user', PASSWORD));
  const image = `${proxy.host}/crid-test/many-layers:latest`;
  for (const auth of [undefined, { username: 'user', password: 'wrong-password' }]) {
    const { code, message } = await failureOf(pull(image, auth));
    assert.equal(code, 'UNAUTHENTICATED', message);
    assert.ok(message.includes(image) && !message.includes('wrong-password'), message);
  }
  const encoded = basic('user', PASSWORD).replace('Basic ', '');
  for (const auth of [{ username: 'user', password: PASSWORD }, { auth: encoded }]) {
    const id = await pull(image, auth);
    assert.ok((await statusOf(image))?.id === id);
    await remove(image);
  }
  const log = await suite.crid.log();
  assert.deepEqual(
    [PASSWORD, encoded, 'wrong-password'].filter((secret) => log.includes(secret)),
    [],
  );
});

test('equal pulls at the same time fetch each blob once', async (t) => {
  const proxy = await proxyFor(t);
  const image = `${proxy.host}/crid-test/large:latest`;
  const ids = await Promise.all(Array.from({ length: 5 }, () => pull(image)));
  assert.equal(new Set(ids).size, 1);
  const blobs = proxy.requests.filter((request) => /^GET .*\/(blobs|manifests)\//.test(request));
  assert.deepEqual([...new Set(blobs)].sort(), [...blobs].sort());
  await remove(image);
});

test('ImageStatus and ListImages: by tag, by digest, by id', async () => {
  const id = await pull(LAYERS);
  const image = await statusOf(LAYERS);
  const digest = image?.repo_digests[0] ?? '';
  assert.match(digest, /^docker\.io\/crid-test\/many-layers@sha256:[0-9a-f]{64}$/);
  assert.deepEqual(
    { id: image?.id, tags: image?.repo_tags, pinned: image?.pinned },
    { id, tags: [LAYERS], pinned: false },
  );
  assert.ok(image && image.size > 0n);
  const list = async (name: string): Promise<Image[]> =>
    (await suite.crid.images.listImages({ filter: { image: { image: name } } })).images;
  for (const name of [digest, id, id.replace('sha256:', '')]) {
    assert.deepEqual([await statusOf(name), await list(name)], [image, [image]], name);
  }
  assert.deepEqual(await list('docker.io/crid-test/none:1'), []);
  const all = (await suite.crid.images.listImages({})).images;
  assert.ok(all.length > 1 && all.some((one) => one.id === id));
  const { info } = await suite.crid.images.imageStatus({ image: { image: LAYERS }, verbose: true });
  const { imageSpec, chainID } = JSON.parse(info['info'] ?? '') as { imageSpec: { os: string }; chainID: string };
  assert.deepEqual([imageSpec.os, /^sha256:[0-9a-f]{64}$/.test(chainID)], ['linux', true]);
});

test('RemoveImage by the id removes every name; a repeat succeeds', async () => {
  const id = await pull(LAYERS);
  await remove(id);
  assert.deepEqual([await statusOf(id), await statusOf(LAYERS), await remove(id)], [undefined, undefined, {}]);
});

test('ImageFsInfo: the directory of the snapshots, their bytes and inodes', async () => {
  const { image_filesystems: filesystems, container_filesystems: containers } = await suite.crid.images.imageFsInfo({});
  const [{ fs_id: id, used_bytes: used, inodes_used: inodes, timestamp } = assert.fail('no filesystem')] = filesystems;
  assert.equal(id?.mountpoint, join(suite.stack.containerd.root, 'io.containerd.snapshotter.v1.overlayfs'));
  assert.ok((used?.value ?? 0n) > 0n && (inodes?.value ?? 0n) > 0n && timestamp > 0n);
  assert.deepEqual(containers, filesystems);
});
