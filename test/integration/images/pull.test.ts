import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { ListImagesRequest } from '../../../generated/runtime/v1/api.js';
import { defaultConfig } from '../../../src/config/schema.js';
import { ensureImage } from '../../../src/images/ensure-image.js';
import { imageFsInfo } from '../../../src/images/image-fs-info.js';
import { listImages } from '../../../src/images/list-images.js';
import { releasePullLeases } from '../../../src/images/pull-lease.js';
import { busybox, failure, pullOf, registry } from '../containerd/lab.js';
import { certsDir, startImages } from './harness.js';
import { goArch, indexOf, tinyImage } from './tiny-image.js';
import { REPOSITORY, startRegistry, type TinyRegistry } from './tiny-registry.js';

const images = startImages('crid-images-pull');
const { deps, containerd } = images;
const MANAGED = { 'io.cri-containerd.image': 'managed' };
let tiny: TinyRegistry;
const app = (tag: string): string => `${tiny.host}/${REPOSITORY}:${tag}`;
const appDigest = (digest: string): string => `${tiny.host}/${REPOSITORY}@${digest}`;
const ids = async (image = ''): Promise<string[]> =>
  (await listImages(deps)(ListImagesRequest.fromPartial({ filter: { image: { image } } }))).images.map(({ id }) => id);

before(async () => {
  await images.clear();
  tiny = await startRegistry();
});
afterEach(images.clear);
after(async () => {
  tiny.close();
  await images.close();
});

test('an image of a real registry is pulled, found by each of its names, and removed by one of them', async () => {
  const id = await images.pull(`${registry}/library/busybox`);
  const { image } = await images.status(id);
  const digest = image?.repo_digests[0] ?? '';
  assert.deepEqual([image?.repo_tags, digest.split('@')[0]], [[busybox], `${registry}/library/busybox`]);
  assert.ok(image && image.size > 0n && !image.pinned);
  for (const name of [
    busybox,
    `${registry}/library/busybox`,
    digest,
    `${busybox}@${digest.split('@')[1]}`,
    id.slice(0, 20),
  ]) {
    assert.deepEqual([name, (await images.status(name)).image?.id, await ids(name)], [name, id, [id]]);
  }
  assert.deepEqual([await ids(), await ids('busybox')], [[id], []]);
  const records = await containerd.images.list([]);
  assert.deepEqual(
    new Map(records.map(({ name, labels }) => [name, labels])),
    new Map([busybox, digest, id].map((name) => [name, MANAGED])),
  );

  const { info } = await images.status(busybox, { verbose: true });
  const { chainID, imageSpec } = JSON.parse(info['info'] ?? '') as { chainID: string; imageSpec: { os: string } };
  assert.equal((await containerd.snapshots('overlayfs').stat(chainID)).kind, 'committed');
  assert.equal(imageSpec.os, 'linux');

  await images.remove(busybox);
  assert.deepEqual([await ids(), (await images.status(id)).image], [[], undefined]);
  await images.assertOnly([]);
  assert.deepEqual(await images.remove(busybox), {});
});

test('CRI shows uid, user name and size of an image', async () => {
  const [byId, byName] = [tinyImage({ user: '1000:1000' }), tinyImage({ user: 'www-data:www-data' })];
  tiny.put('id', byId);
  tiny.put('name', byName);
  await Promise.all([images.pull(app('id')), images.pull(app('name'))]);
  const shown = await Promise.all(['id', 'name'].map(async (tag) => (await images.status(app(tag))).image));
  const size = ({ manifest, config, layer }: typeof byId): bigint =>
    BigInt(manifest.bytes.length + config.bytes.length + layer.bytes.length);
  assert.deepEqual(
    shown.map((image) => [image?.uid?.value, image?.username, image?.size]),
    [
      [1000n, '', size(byId)],
      [undefined, 'www-data', size(byName)],
    ],
  );
});

test('equal pulls at the same time are one transfer', async () => {
  const image = tinyImage();
  tiny.put('once', image);
  const asked = tiny.requests.length;
  const pulled = await Promise.all([images.pull(app('once')), images.pull(app('once')), images.pull(app('once'))]);
  assert.deepEqual(new Set(pulled), new Set([image.config.digest]));
  const resolved = tiny.requests.slice(asked).filter((request) => request.startsWith('HEAD'));
  assert.deepEqual(resolved, [`HEAD /v2/${REPOSITORY}/manifests/once`]);
});

test('a pull continues when its caller leaves, and a retry joins it', async () => {
  const image = tinyImage();
  tiny.put('late', image);
  const caller = new AbortController();
  let release = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    tiny.guard = (request, response) => {
      if (!request.url?.includes(image.layer.digest)) return false;
      release = () =>
        void response.writeHead(200, { 'content-length': image.layer.bytes.length }).end(image.layer.bytes);
      resolve();
      return true;
    };
  });
  const first = failure(images.pull(app('late'), { signal: caller.signal }));
  await asked;
  caller.abort();
  assert.match(await first, /^DEADLINE_EXCEEDED pull image .*team\/app:late: fetch: waiting .*a retry joins it$/);
  const second = images.pull(app('late'));
  tiny.guard = () => false;
  release();
  assert.equal(await second, image.config.digest);
});

test('a tag that has moved leaves its old image under its digest and id', async () => {
  const [old, young] = [tinyImage(), tinyImage()];
  tiny.put('moving', old);
  await images.pull(app('moving'));
  tiny.put('moving', young);
  await images.pull(app('moving'));
  const names = async (id: string) => {
    const { image } = await images.status(id);
    return [image?.repo_tags, image?.repo_digests];
  };
  assert.deepEqual(
    [await names(old.config.digest), await names(young.config.digest)],
    [
      [[], [appDigest(old.manifest.digest)]],
      [[app('moving')], [appDigest(young.manifest.digest)]],
    ],
  );
});

test('an index gives the image of this platform', async () => {
  const [own, foreign] = [tinyImage(), tinyImage({ architecture: 'mips' })];
  const index = indexOf({ mips: foreign, [goArch()]: own });
  tiny.put('index', own, index);
  assert.equal(await images.pull(app('index')), own.config.digest);
  const { image } = await images.status(app('index'));
  assert.deepEqual(image?.repo_digests, [appDigest(index.digest)]);
});

test('a registry is looked up in certs.d', async (t) => {
  const certs = await certsDir('registry.invalid', `server = "http://${tiny.host}"\n`);
  t.after(certs.remove);
  const image = tinyImage();
  tiny.put('mirrored', image);
  deps.config.images.registry.config_path = `/nonexistent:${certs.path}`;
  t.after(() => (deps.config.images.registry.config_path = ''));
  assert.equal(await images.pull(`registry.invalid/${REPOSITORY}:mirrored`), image.config.digest);
});

test('an image that another client pulled is listed and adopted', async () => {
  await containerd.transfer.pull(pullOf(busybox));
  await deps.images.refresh(busybox);
  const [image] = deps.images.list();
  assert.deepEqual(image?.references, [busybox, image?.id]);
  assert.deepEqual((await containerd.images.get(busybox)).labels, MANAGED);
  await containerd.images.delete(busybox, false);
  await deps.images.rebuild();
  assert.deepEqual(
    deps.images.list().map(({ references }) => references),
    [[image?.id]],
  );
});

test('a pinned image is pulled if it is missing, and unpacked if its snapshots are missing', async () => {
  const image = tinyImage();
  tiny.put('pause', image);
  deps.config.images.pinned_images = { sandbox: app('pause') };
  const ensure = () =>
    ensureImage(deps)(app('pause'), { snapshotter: 'overlayfs', signal: new AbortController().signal });
  const { id, chainId, pinned } = await ensure();
  assert.deepEqual([id, pinned], [image.config.digest, true]);
  const asked = tiny.requests.length;
  await ensure();
  await containerd.snapshots('overlayfs').remove(chainId);
  await ensure();
  assert.equal(tiny.requests.length, asked);
  assert.equal((await containerd.snapshots('overlayfs').stat(chainId)).kind, 'committed');
});

test('ImageFsInfo lists the default snapshotter first, with the disk usage of its snapshots, and omits missing snapshotters', async (t) => {
  const { runtimes } = deps.config.runtime.containerd;
  runtimes['other'] = { ...defaultConfig().runtime.containerd.runtimes['runc']!, snapshotter: 'not-there' };
  t.after(() => delete runtimes['other']);
  tiny.put('space', tinyImage());
  await images.pull(app('space'));
  const { image_filesystems: all, container_filesystems: containers } = await imageFsInfo(deps)();
  assert.deepEqual([containers, all.length], [all, 1]);
  // The mountpoint comes from containerd's information about the snapshotter: the configured root differs in this test.
  assert.match(all[0]?.fs_id?.mountpoint ?? '', /^\/(?!nowhere).*\/io\.containerd\.snapshotter\.v1\.overlayfs$/);
  assert.ok((all[0]?.used_bytes?.value ?? 0n) >= 64n * 1024n);
  assert.ok((all[0]?.inodes_used?.value ?? 0n) >= 1n);
  assert.ok((all[0]?.timestamp ?? 0n) > 10n ** 18n);
});

test('only the lease of a pull that was killed with crid is released at the next start', async () => {
  await containerd.leases.create('crid-pull-dead', {});
  await containerd.leases.create('another', {});
  await releasePullLeases(deps, ['crid-pull-dead']);
  assert.deepEqual(
    (await containerd.leases.list([])).map(({ id }) => id),
    ['another'],
  );
});
