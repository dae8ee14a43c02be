import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { CriError } from '../../../src/base/errors.js';
import { defaultConfig } from '../../../src/config/schema.js';
import type { Containerd, Descriptor, ImageRecord } from '../../../src/containerd/containerd.js';
import { hostPlatform } from '../../../src/containerd/platform.js';
import type { ImageDeps } from '../../../src/images/image-deps.js';
import { createPullWatch } from '../../../src/images/pull-watch.js';
import { pull } from '../../../src/images/pull.js';
import { createUnpacking } from '../../../src/images/unpacking.js';
import { createOperations } from '../../../src/operation/operation.js';
import { createImageCache } from '../../../src/state/image-cache.js';
import { parseReference } from '../../../src/state/image-reference.js';

const log = pino({ level: 'silent' });
const OCI = 'application/vnd.oci.image';
const MANAGED = { 'io.cri-containerd.image': 'managed' };
const TAG = 'a.io/app:v1';
const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;
const { os, architecture } = hostPlatform();
const missing = (what: string): never => {
  throw new CriError('NOT_FOUND', `${what} not found`);
};

interface Image {
  readonly id: string;
  readonly target: Descriptor;
}

/** The part of containerd that a pull uses, with unpacked images. `transfer` stands for the registry and its answer. */
async function nodeWith(names: readonly string[], transfer: (node: Node) => Promise<Descriptor | undefined>) {
  const node = createNode();
  const leases: string[] = [];
  const gets: string[] = [];
  const stats: string[] = [];
  const { records, blobs } = node;
  for (const name of names) node.save(name, node.old);
  const containerd = {
    images: {
      get: async (name: string) => {
        gets.push(name);
        return records.get(name) ?? missing(name);
      },
      list: async () => [...records.values()],
      create: async (record: ImageRecord) => {
        if (records.has(record.name)) throw new CriError('ALREADY_EXISTS', record.name);
        records.set(record.name, record);
        return record;
      },
      update: async (record: ImageRecord) => {
        records.set(record.name, record);
        return record;
      },
      delete: async (name: string) => void records.delete(name),
    },
    content: {
      async *stream(digest: string) {
        yield await Promise.resolve(Buffer.from(blobs.get(digest) ?? missing(digest)));
      },
    },
    snapshots: (snapshotter: string) => ({
      stat: async () => {
        stats.push(snapshotter);
        return { kind: 'committed' };
      },
    }),
    leases: { create: async () => undefined, delete: async () => undefined },
    transfer: {
      pull: (_request: unknown, { lease = '' }: { lease?: string }) => {
        leases.push(lease === '' ? 'none' : 'lease');
        return transfer(node);
      },
    },
  } as unknown as Containerd;
  const config = defaultConfig();
  const operations = createOperations({ log });
  const images = createImageCache({ containerd, log });
  await images.rebuild();
  gets.length = 0;
  const unpacking = createUnpacking({ containerd, config, operations, log });
  const deps = { log, config, containerd, operations, images, unpacking, watchPull: createPullWatch() };
  const pulls = () =>
    pull(
      deps as unknown as ImageDeps,
      { reference: parseReference(TAG, 'image'), snapshotter: 'overlayfs', auth: undefined },
      {},
    );
  return { ...node, leases, gets, stats, images, pull: pulls };
}

type Node = ReturnType<typeof createNode>;

function createNode() {
  const records = new Map<string, ImageRecord>();
  const blobs = new Map<string, string>();
  const image = (manifest: string, config: string): Image => {
    const layer = { digest: 'sha256:1', size: 1000 };
    blobs.set(config, JSON.stringify({ os, architecture, rootfs: { diff_ids: [layer.digest] } }));
    const ofConfig = { mediaType: `${OCI}.config.v1+json`, digest: config, size: 10 };
    blobs.set(manifest, JSON.stringify({ config: ofConfig, layers: [layer] }));
    const target = { media_type: `${OCI}.manifest.v1+json`, digest: manifest, size: 10n, annotations: {} };
    return { id: config, target };
  };
  const save = (name: string, { target }: Image): Descriptor => {
    records.set(name, { name, target, labels: MANAGED });
    return target;
  };
  const old = image(digestOf('a'), digestOf('b'));
  return { records, blobs, save, old, other: image(digestOf('c'), digestOf('d')) };
}

const ALL_NAMES = [TAG, `a.io/app@${digestOf('a')}`, digestOf('b')];

test('a pull of an image that is whole and unchanged is one transfer without a lease', async () => {
  const node = await nodeWith(ALL_NAMES, async ({ save, old }) => save(TAG, old));
  assert.equal((await node.pull()).id, node.old.id);
  assert.deepEqual([node.leases, node.gets], [['none'], []]);
});

test('it is one transfer too if containerd does not report the target: the record is read', async () => {
  const node = await nodeWith(ALL_NAMES, async ({ save, old }) => void save(TAG, old));
  assert.equal((await node.pull()).id, node.old.id);
  assert.deepEqual([node.leases, node.gets], [['none'], [TAG]]);
});

for (const isReported of [true, false]) {
  const when = isReported ? 'and containerd reports its target' : 'and containerd does not report its target';
  test(`an image that has changed is pulled again under a lease, ${when}`, async () => {
    const node = await nodeWith(ALL_NAMES, async ({ save, other }) => {
      const target = save(TAG, other);
      return isReported ? target : undefined;
    });
    const { id, references } = await node.pull();
    assert.deepEqual([id, node.leases], [node.other.id, ['none', 'lease']]);
    assert.deepEqual(references, [TAG, `a.io/app@${digestOf('c')}`, digestOf('d')]);
  });
}

test('an image that lacks a name is pulled under a lease, and gets the name', async () => {
  const node = await nodeWith(ALL_NAMES.slice(0, 2), async ({ save, old }) => save(TAG, old));
  assert.deepEqual([(await node.pull()).references, node.leases], [ALL_NAMES, ['lease']]);
});

test('a failed pull restores a record that it has changed, and none that was removed meanwhile', async () => {
  const fails = (): never => {
    throw new CriError('UNAVAILABLE', 'the registry is gone');
  };
  const changed = await nodeWith(ALL_NAMES, async ({ save, other }) => {
    save(TAG, other);
    return fails();
  });
  await assert.rejects(changed.pull(), { code: 'UNAVAILABLE' });
  assert.equal(changed.records.get(TAG)?.target.digest, digestOf('a'));
  const removed = await nodeWith(ALL_NAMES, async ({ records }) => {
    records.delete(TAG);
    return fails();
  });
  await assert.rejects(removed.pull(), { code: 'UNAVAILABLE' });
  assert.deepEqual([removed.records.has(TAG), removed.images.entry(TAG)], [false, undefined]);
});

test('the snapshots are looked at only when containerd has not unpacked the image itself', async () => {
  const unpacked = await nodeWith(ALL_NAMES, async ({ save, old }) => save(TAG, old));
  await unpacked.pull();
  assert.deepEqual(unpacked.stats, []);
  let calls = 0;
  const fetched = await nodeWith(ALL_NAMES, async ({ save, old }) => {
    // containerd has no unpack_config for the snapshotter.
    if (++calls === 1) throw new CriError('UNKNOWN', 'no unpack platforms defined: invalid argument');
    return save(TAG, old);
  });
  await fetched.pull();
  assert.deepEqual([calls, fetched.stats], [2, ['overlayfs']]);
});
