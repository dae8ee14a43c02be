import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import type { Containerd, Descriptor, ImageRecord } from '../../../src/containerd/containerd.js';
import { hostPlatform } from '../../../src/containerd/platform.js';
import { readImage } from '../../../src/state/image-content.js';
import { readLayers } from '../../../src/state/image-layers.js';
import { onceRead } from '../../../src/state/image-readings.js';
import { createImageCache, userOf } from '../../../src/state/image-cache.js';

const OCI = 'application/vnd.oci.image';
const MANAGED = { 'io.cri-containerd.image': 'managed' };
const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const { os, architecture } = hostPlatform();

/** Images and content as in containerd, in memory. */
function fakeContainerd() {
  const records = new Map<string, ImageRecord>();
  const blobs = new Map<string, string>();
  const reads: string[] = [];
  const gets: string[] = [];
  const config = { chunkBytes: 7 };
  const missing = (name: string): never => {
    throw new CriError('NOT_FOUND', `${name} not found`);
  };
  const images: Containerd['images'] = {
    get: async (name) => {
      gets.push(name);
      return records.get(name) ?? missing(name);
    },
    list: async () => [...records.values()],
    create: async (record) => {
      if (records.has(record.name)) throw new CriError('ALREADY_EXISTS', record.name);
      records.set(record.name, record);
      return record;
    },
    update: async (record, fields) => {
      const before = records.get(record.name) ?? missing(record.name);
      const labels = { ...before.labels, ...record.labels };
      const after = { ...before, labels, ...(fields.includes('target') ? { target: record.target } : {}) };
      records.set(record.name, after);
      return after;
    },
    delete: async (name) => void records.delete(name),
  };
  const content: Containerd['content'] = {
    read: async (digest) => missing(digest),
    async *stream(digest) {
      reads.push(digest);
      // In chunks, as they arrive from containerd.
      const bytes = Buffer.from(blobs.get(digest) ?? missing(digest));
      for (let at = 0; at < bytes.length; at += config.chunkBytes) {
        yield await Promise.resolve(bytes.subarray(at, at + config.chunkBytes));
      }
    },
    info: async (digest) => missing(digest),
    label: async (digest) => missing(digest),
  };
  const put = (mediaType: string, value: unknown): Descriptor => {
    const text = JSON.stringify(value);
    blobs.set(sha256(text), text);
    return { media_type: mediaType, digest: sha256(text), size: BigInt(text.length), annotations: {} };
  };
  return { config, records, blobs, reads, gets, put, images, content };
}

type Fake = ReturnType<typeof fakeContainerd>;
const wire = ({ media_type: mediaType, digest, size }: Descriptor) => ({ mediaType, digest, size: Number(size) });

function putImage(
  fake: Fake,
  options: { user?: string; diffIds?: string[]; architecture?: string; more?: object } = {},
) {
  const { user = '', diffIds = ['sha256:1', 'sha256:2'] } = options;
  const config = fake.put(`${OCI}.config.v1+json`, {
    os,
    architecture: options.architecture ?? architecture,
    config: { User: user, ...options.more },
    rootfs: { diff_ids: diffIds },
  });
  const layers = diffIds.map((digest) => ({ digest, size: 1000 }));
  const manifest = fake.put(`${OCI}.manifest.v1+json`, { config: wire(config), layers });
  return { id: config.digest, config, manifest };
}

const name = (fake: Fake, reference: string, target: Descriptor, labels: Record<string, string> = MANAGED): void =>
  void fake.records.set(reference, { name: reference, target, labels });

const cacheOf = (fake: Fake, pinned: Record<string, string> = {}, maxKeptBytes?: number) =>
  createImageCache({
    containerd: fake,
    config: { images: { pinned_images: pinned } },
    log: createLogger('error'),
    ...(maxKeptBytes === undefined ? {} : { maxKeptBytes }),
  });

test('records with one config are one image, found by each name in any form', async () => {
  const fake = fakeContainerd();
  const { id, manifest, config } = putImage(fake, { user: '7:8' });
  const digest = `docker.io/library/app@${manifest.digest}`;
  for (const reference of ['docker.io/library/app:latest', 'a.io/app:v1', digest, id]) name(fake, reference, manifest);
  const cache = cacheOf(fake);
  await cache.rebuild();
  assert.deepEqual(cache.list(), [
    {
      id,
      references: ['a.io/app:v1', 'docker.io/library/app:latest', digest, id],
      repoTags: ['a.io/app:v1', 'docker.io/library/app:latest'],
      repoDigests: [digest],
      target: manifest.digest,
      chainId: sha256('sha256:1 sha256:2'),
      config: JSON.parse(fake.blobs.get(id) ?? '') as unknown,
      keptBytes: cache.get(id)?.keptBytes,
      checkpointOf: undefined,
      sizeBytes: manifest.size + config.size + 2000n,
      pinned: false,
      user: { uid: 7n, username: '' },
    },
  ]);
  const found = ['app', 'library/app', 'a.io/app:v1', digest, `app:other@${manifest.digest}`, id, id.slice(7)];
  assert.deepEqual(
    found.map((text) => [text, cache.get(text)?.id]),
    found.map((text) => [text, id]),
  );
  const prefixes = [id.slice(7, 19), id.slice(0, 19), id.slice(7, 70)];
  assert.deepEqual(
    prefixes.map((text) => [cache.get(text)?.id, cache.getForPeople(text)?.id]),
    prefixes.map(() => [undefined, id]),
  );
  const unknown = ['', 'App', 'app:v2', 'a.io/app', 'sha256:', id.slice(7, 18), id.slice(0, 18), `${id}0`, '../..'];
  assert.deepEqual(
    unknown.filter((text) => cache.getForPeople(text)),
    [],
  );
  assert.deepEqual(fake.reads, [manifest.digest, id]);
});

test('an image with a name of hexadecimal digits comes before one with that prefix as its id', async () => {
  const fake = fakeContainerd();
  const [first, second] = [putImage(fake, { user: 'first' }), putImage(fake, { user: 'second' })];
  const prefix = first.id.slice(7, 19);
  name(fake, first.id, first.manifest);
  name(fake, `docker.io/library/${prefix}:latest`, second.manifest);
  const cache = cacheOf(fake);
  await cache.rebuild();
  assert.deepEqual(
    [cache.get(prefix)?.id, cache.getForPeople(prefix)?.id, cache.getForPeople(first.id.slice(7, 20))?.id],
    [second.id, second.id, first.id],
  );
});

test('the name of a changed or deleted record moves with it', async () => {
  const fake = fakeContainerd();
  const [old, young] = [putImage(fake, { user: 'old' }), putImage(fake, { user: 'young' })];
  const cache = cacheOf(fake);
  const names = () => new Map(cache.list().map(({ user, references }) => [user.username, references]));
  name(fake, 'a.io/app:v1', old.manifest);
  name(fake, old.id, old.manifest);
  await cache.rebuild();
  name(fake, 'a.io/app:v1', young.manifest);
  await cache.refresh('a.io/app:v1');
  assert.deepEqual(
    names(),
    new Map([
      ['old', [old.id]],
      ['young', ['a.io/app:v1']],
    ]),
  );
  fake.records.delete(old.id);
  await cache.refresh(old.id);
  assert.deepEqual(names(), new Map([['young', ['a.io/app:v1']]]));
  fake.records.clear();
  await cache.rebuild();
  assert.deepEqual(cache.list(), []);
});

test('an image that is removed is dropped without a read, also when the event comes before the response', async () => {
  const fake = fakeContainerd();
  const [old, young] = [putImage(fake, { user: 'old' }), putImage(fake, { user: 'young' })];
  const cache = cacheOf(fake);
  const reference = 'a.io/app:v1';
  name(fake, reference, old.manifest);
  await cache.rebuild();
  let event: Promise<void> | undefined;
  const reads = fake.gets.length;
  await cache.remove(reference, () => {
    fake.records.delete(reference);
    event = cache.forget(reference);
    return Promise.resolve();
  });
  await event;
  assert.deepEqual([cache.get(reference), fake.gets.length], [undefined, reads]);

  // A pull of the same name, between the removal and its event.
  name(fake, reference, young.manifest);
  await cache.refresh(reference);
  await cache.forget(reference);
  assert.equal(cache.get(reference)?.id, young.id);
  // A removal by another client.
  fake.records.delete(reference);
  await cache.forget(reference);
  assert.equal(cache.get(reference), undefined);
});

test('images of other clients are adopted: labelled, pinned, and kept under their id', async () => {
  const fake = fakeContainerd();
  const { id, manifest } = putImage(fake);
  name(fake, 'a.io/pause:3', manifest, { own: 'label' });
  const cache = cacheOf(fake, { sandbox: 'a.io/pause:3' });
  await cache.refresh('a.io/pause:3');
  const pinned = { ...MANAGED, 'io.cri-containerd.pinned': 'pinned' };
  assert.deepEqual(
    [...fake.records].map(([reference, { labels }]) => [reference, labels]),
    [
      ['a.io/pause:3', { own: 'label', ...pinned }],
      [id, pinned],
    ],
  );
  assert.deepEqual(
    cache.list().map((image) => [image.references, image.pinned]),
    [[['a.io/pause:3', id], true]],
  );
});

test('an index gives the image of this platform, and counts in its size', async () => {
  const fake = fakeContainerd();
  const [own, other, attestation] = [
    putImage(fake, { user: 'own' }),
    putImage(fake, { user: 'other' }),
    putImage(fake),
  ];
  const index = fake.put(`${OCI}.index.v1+json`, {
    manifests: [
      { ...wire(other.manifest), platform: { os, architecture: 'mips' } },
      { ...wire(attestation.manifest), annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } },
      { ...wire(own.manifest), platform: { os, architecture } },
    ],
  });
  name(fake, 'a.io/app:v1', index);
  const cache = cacheOf(fake);
  await cache.rebuild();
  const image = cache.get('a.io/app:v1');
  assert.deepEqual(
    [image?.id, image?.target, image?.sizeBytes],
    [own.id, own.manifest.digest, index.size + own.manifest.size + own.config.size + 2000n],
  );
});

test('an entry without a platform has the platform of its config', async () => {
  const fake = fakeContainerd();
  const [other, own] = [putImage(fake, { user: 'other', architecture: 'mips' }), putImage(fake, { user: 'own' })];
  const both = fake.put(`${OCI}.index.v1+json`, { manifests: [wire(other.manifest), wire(own.manifest)] });
  const one = fake.put(`${OCI}.index.v1+json`, { manifests: [wire(other.manifest)] });
  const nested = fake.put(`${OCI}.index.v1+json`, { manifests: [wire(one), wire(both)] });
  name(fake, 'a.io/both:1', both);
  name(fake, 'a.io/one:1', one);
  name(fake, 'a.io/nested:1', nested);
  const cache = cacheOf(fake);
  await cache.rebuild();
  const ids = ['a.io/both:1', 'a.io/one:1', 'a.io/nested:1'].map((text) => cache.get(text)?.id);
  assert.deepEqual(ids, [own.id, undefined, own.id]);
});

test('an index with too many entries is refused', async () => {
  const fake = fakeContainerd();
  const other = putImage(fake, { architecture: 'mips' });
  const own = putImage(fake);
  const many = (count: number) =>
    fake.put(`${OCI}.index.v1+json`, {
      manifests: [...Array.from({ length: count }, () => wire(other.manifest)), wire(own.manifest)],
    });
  // The index and two blobs per entry; the limit is 64.
  assert.equal((await readImage(fake.content, many(30))).id, own.id);
  await assert.rejects(readImage(fake.content, many(31)), /more than 64 blobs/);
});

test('an index or a manifest with more than 10,000 descriptors is refused', async () => {
  const fake = fakeContainerd();
  fake.config.chunkBytes = 1 << 20;
  const own = putImage(fake);
  const other = { digest: 'sha256:1', platform: { os, architecture: 'mips' } };
  const index = (count: number) =>
    fake.put(`${OCI}.index.v1+json`, { manifests: [...Array<object>(count - 1).fill(other), wire(own.manifest)] });
  const layers = Array<object>(10_001).fill({ digest: 'sha256:1' });
  const config = { digest: own.id };
  const manifest = fake.put(`${OCI}.manifest.v1+json`, { config, layers });
  assert.equal((await readImage(fake.content, index(10_000))).id, own.id);
  for (const target of [index(10_001), manifest]) {
    await assert.rejects(readImage(fake.content, target), {
      code: 'RESOURCE_EXHAUSTED',
      message: /(index|manifest) sha256:\S+ has 10001 entries, and at most 10000 are read$/,
    });
  }
  const request = { manifest: manifest.digest, diffIds: [] };
  await assert.rejects(readLayers(fake.content, request, new AbortController().signal), {
    code: 'RESOURCE_EXHAUSTED',
  });
});

test('nested indexes are followed three levels deep', async () => {
  const fake = fakeContainerd();
  const { id, manifest } = putImage(fake);
  const nested = (depth: number): Descriptor =>
    depth === 0 ? manifest : fake.put(`${OCI}.index.v1+json`, { manifests: [wire(nested(depth - 1))] });
  assert.equal((await readImage(fake.content, nested(3))).id, id);
  await assert.rejects(readImage(fake.content, nested(4)), {
    code: 'DATA_LOSS',
    message: `${nested(1).digest} is an index nested more than 3 levels deep`,
  });
});

test('a config at its limits is read, and beyond them it is named; other images stay', async () => {
  const fake = fakeContainerd();
  const labels = (bytes: number) => putImage(fake, { more: { Labels: { bom: 'x'.repeat(bytes) } } });
  const env = (bytes: number) => putImage(fake, { more: { Env: ['x'.repeat(bytes)] } });
  const [large, fits, beyond] = [labels(9 << 20), env(200 << 10), env(257 << 10)];
  fake.config.chunkBytes = 1 << 20;
  assert.equal((await readImage(fake.content, large.manifest)).keptBytes < 1000, true);
  assert.equal((await readImage(fake.content, fits.manifest)).id, fits.id);
  await assert.rejects(readImage(fake.content, beyond.manifest), {
    code: 'RESOURCE_EXHAUSTED',
    message: `config ${beyond.id}: it has more than 262144 bytes up to "config.Env"`,
  });
  name(fake, 'a.io/beyond:1', beyond.manifest);
  name(fake, 'a.io/good:1', fits.manifest);
  const cache = cacheOf(fake);
  await cache.rebuild();
  assert.deepEqual(
    cache.list().map(({ references }) => references),
    [['a.io/good:1']],
  );
});

test('the configs of all images are kept up to the limit; the next image is left out, and its reader gets the reason', async () => {
  const fake = fakeContainerd();
  const [first, second] = [putImage(fake, { user: 'one' }), putImage(fake, { user: 'two' })];
  const { keptBytes } = await readImage(fake.content, first.manifest);
  name(fake, 'a.io/first:1', first.manifest);
  name(fake, 'a.io/second:1', second.manifest);
  const idsWithin = async (bytes: number): Promise<[string[], string]> => {
    const cache = cacheOf(fake, {}, bytes);
    await cache.refresh('a.io/first:1');
    await cache.refresh('a.io/second:1');
    const read = await cache.read(second.manifest).then(
      ({ id }) => id,
      (thrown: unknown) => `${CriError.from(thrown).code} ${CriError.from(thrown).message}`,
    );
    return [cache.list().map(({ id }) => id), read];
  };
  const bound = 2 * keptBytes;
  assert.deepEqual(await idsWithin(bound), [[first.id, second.id], second.id]);
  const problem = `the configs of all images would take more than ${bound - 1} bytes`;
  assert.deepEqual(await idsWithin(bound - 1), [[first.id], `RESOURCE_EXHAUSTED config ${second.id}: ${problem}`]);
});

test('an image that is not found is searched again when all have been read; a found one is returned at once', async () => {
  const fake = fakeContainerd();
  const [early, late] = [putImage(fake, { user: 'early' }), putImage(fake, { user: 'late' })];
  name(fake, 'a.io/early:1', early.manifest);
  name(fake, 'a.io/late:1', late.manifest);
  let release = (): void => undefined;
  const stalled = new Promise<void>((resolve) => (release = resolve));
  const { stream } = fake.content;
  fake.content.stream = async function* (digest, options) {
    if (digest === late.manifest.digest) await stalled;
    yield* stream(digest, options);
  };
  const cache = cacheOf(fake);
  const reading = await cache.begin();
  await cache.refresh('a.io/early:1');
  assert.equal((await onceRead(cache, () => cache.get('a.io/early:1')))?.id, early.id);
  const found = onceRead(cache, () => cache.get('a.io/late:1'));
  assert.deepEqual([reading.records, reading.remaining() > 0, cache.get('a.io/late:1')], [2, true, undefined]);
  release();
  await reading.done;
  assert.deepEqual([(await found)?.id, cache.firstReading(), reading.remaining()], [late.id, undefined, 0]);
  // A later reading, after a reconnection, must not block callers.
  await (
    await cache.begin()
  ).done;
  assert.equal(cache.firstReading(), undefined);
});

test('records that containerd cannot send are reported by their digests, and all others are read', async () => {
  const fake = fakeContainerd();
  const good = putImage(fake);
  name(fake, 'a.io/good:1', good.manifest);
  name(fake, 'a.io/huge:1', { ...good.manifest, digest: `sha256:${'e'.repeat(64)}` });
  const { list } = fake.images;
  fake.images.list = async (filters) => {
    const expressions = filters.map((filter) => new RegExp(/~="(.*)"$/.exec(filter)?.[1] ?? ''));
    const found = (await list([])).filter(
      ({ target }) => filters.length === 0 || expressions.some((each) => each.test(target.digest)),
    );
    if (found.some(({ name: each }) => each === 'a.io/huge:1')) throw new CriError('RESOURCE_EXHAUSTED', 'too large');
    return found;
  };
  const cache = cacheOf(fake);
  await cache.rebuild();
  assert.deepEqual(
    [cache.list().map(({ id }) => id), cache.unreadable()],
    [[good.id], [{ id: 'sha256:eeeeee', name: '', error: 'image record: too large' }]],
  );
});

test('a record that cannot be read is left out and hides no other', async () => {
  const fake = fakeContainerd();
  const good = putImage(fake);
  name(fake, 'a.io/good:1', good.manifest);
  name(fake, 'a.io/lost:1', { ...good.manifest, digest: 'sha256:0' });
  name(fake, 'a.io/odd:1', { ...good.manifest, media_type: 'text/plain', digest: 'sha256:00' });
  fake.blobs.set('sha256:7', 'no json');
  name(fake, 'a.io/broken:1', { ...good.manifest, digest: 'sha256:7' });
  const cache = cacheOf(fake);
  await cache.rebuild();
  assert.deepEqual(
    cache.list().map(({ references }) => references),
    [['a.io/good:1']],
  );
});

test('GHSA-vwhp-8p66-mq4f: negative and absurd sizes count as 0, and a truncated digest is a missing blob', async () => {
  const fake = fakeContainerd();
  const { config } = putImage(fake);
  const layers = [-1, -(2 ** 63), 1e300, 2 ** 53, 0.5, 7].map((size) => ({ digest: 'sha256:12', size }));
  const manifest = fake.put(`${OCI}.manifest.v1+json`, { config: { ...wire(config), size: -5 }, layers });
  assert.equal((await readImage(fake.content, manifest)).sizeBytes, manifest.size + 7n);
  for (const digest of ['sha256:12', 'sha256:', '', ':', '../../etc/passwd']) {
    const short = fake.put(`${OCI}.manifest.v1+json`, { config: { digest } });
    await assert.rejects(readImage(fake.content, short), { code: digest === '' ? 'DATA_LOSS' : 'NOT_FOUND' });
  }
});

test('the user of an image', () => {
  const users = ['', '0', '1000:1000', 'www-data', 'www-data:5', '-1', '99999999999999999999', '0x10'];
  assert.deepEqual(users.map(userOf), [
    { username: '' },
    { uid: 0n, username: '' },
    { uid: 1000n, username: '' },
    { username: 'www-data' },
    { username: 'www-data' },
    { uid: -1n, username: '' },
    { username: '99999999999999999999' },
    { username: '0x10' },
  ]);
});
