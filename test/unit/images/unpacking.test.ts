import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import { defaultConfig } from '../../../src/config/schema.js';
import type { Containerd, Labels } from '../../../src/containerd/containerd.js';
import { createUnpacking } from '../../../src/images/unpacking.js';
import { createOperations } from '../../../src/operation/operation.js';
import type { LocalImage } from '../../../src/state/image-cache.js';
import { chainIdsOf } from '../../../src/state/image-layers.js';

const log = createLogger('error');
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const SNAPSHOT = 'containerd.io/snapshot';
const DIFF_IDS = ['sha256:diff1', 'sha256:diff2'];
const CHAIN_IDS = chainIdsOf(DIFF_IDS);
const [LOWER = '', UPPER = ''] = CHAIN_IDS;
const LAYERS = DIFF_IDS.map((_, index) => ({
  mediaType: LAYER,
  digest: `sha256:blob${index + 1}`,
  size: 10 + index,
  annotations: { [`${SNAPSHOT}/own`]: String(index), 'org.other': 'x' },
}));
const IMAGE = {
  id: 'sha256:config',
  target: 'sha256:manifest',
  chainId: UPPER,
  references: ['a.io/app:v1'],
  config: { rootfs: { diff_ids: DIFF_IDS } },
} as unknown as LocalImage;

/** The part of containerd that unpacking uses. It records changes. */
function fake(options: { readonly blobs?: readonly string[]; readonly applies?: (blob: string) => string } = {}) {
  const blobs = new Set(options.blobs ?? LAYERS.map(({ digest }) => digest));
  const snapshots = new Map<string, Labels>();
  const kinds = new Map<string, 'active' | 'committed'>();
  const changes: string[] = [];
  const config = defaultConfig();
  const missing = (what: string): never => {
    throw new CriError('NOT_FOUND', what);
  };
  const short = (key: string): string => (key.startsWith('extract-') ? `extract ${key.split(' ')[1]}` : key);
  const containerd = {
    snapshots: (snapshotter: string) => ({
      prepare: async (key: string, parent: string, labels: Labels) => {
        if (kinds.get(labels[`${SNAPSHOT}.ref`] ?? '') === 'committed') throw new CriError('ALREADY_EXISTS', key);
        if (parent !== '' && kinds.get(parent) !== 'committed') missing(parent);
        changes.push(`prepare ${short(key)} over "${parent}" in ${snapshotter}`);
        kinds.set(key, 'active');
        return [{ type: 'bind', source: key, target: '', options: [] }];
      },
      commit: async (name: string, key: string, labels: Labels) => {
        if (!kinds.delete(key)) missing(key);
        changes.push(`commit ${name}`);
        kinds.set(name, 'committed');
        snapshots.set(name, labels);
      },
      stat: async (key: string) => ({ kind: kinds.get(key) ?? missing(key) }),
      remove: async (key: string) => void (kinds.delete(key) && changes.push(`remove ${short(key)}`)),
    }),
    content: {
      async *stream(digest: string) {
        if (digest !== IMAGE.target) missing(digest);
        yield await Promise.resolve(Buffer.from(JSON.stringify({ layers: LAYERS })));
      },
      info: async (digest: string) => (blobs.has(digest) ? { digest } : missing(digest)),
      label: async (digest: string, labels: Labels) => void changes.push(`label ${digest} ${JSON.stringify(labels)}`),
    },
    diff: {
      apply: async ({ layer }: { layer: { digest: string } }) =>
        options.applies?.(layer.digest) ?? layer.digest.replace('blob', 'diff'),
    },
    leases: {
      create: async () => void changes.push('lease'),
      delete: async () => void changes.push('release'),
    },
  } as unknown as Containerd;
  const operations = createOperations({ log });
  const unpacking = createUnpacking({ containerd, config, operations, log });
  const ensure = (): Promise<void> => unpacking.ensure(IMAGE, 'native', new AbortController().signal);
  return { config, changes, snapshots, kinds, blobs, operations, unpacking, ensure };
}

const UNPACKED = [
  'lease',
  `prepare extract ${LOWER} over "" in native`,
  `commit ${LOWER}`,
  `prepare extract ${UPPER} over "${LOWER}" in native`,
  `commit ${UPPER}`,
  `label sha256:config ${JSON.stringify({ 'containerd.io/gc.ref.snapshot.native': UPPER })}`,
  'release',
];

test('each layer is unpacked over the one below it, under a lease; equal requests are one', async () => {
  const { changes, snapshots, operations, ensure } = fake();
  await Promise.all([ensure(), ensure()]);
  await ensure();
  await operations.drain(1000);
  assert.deepEqual(changes, UNPACKED);
  const own = (index: number): Labels => ({
    [`${SNAPSHOT}/own`]: String(index),
    [`${SNAPSHOT}.ref`]: CHAIN_IDS[index] ?? '',
    [`${SNAPSHOT}/diff-id`]: DIFF_IDS[index] ?? '',
  });
  assert.deepEqual(
    CHAIN_IDS.map((chainId) => snapshots.get(chainId)),
    [own(0), { ...own(1), [`${SNAPSHOT}/parent-chain-id`]: LOWER }],
  );
  const digest = createHash('sha256').update(`${DIFF_IDS[0]} ${DIFF_IDS[1]}`).digest('hex');
  assert.deepEqual(CHAIN_IDS, [DIFF_IDS[0], `sha256:${digest}`]);
});

test('a layer that the snapshotter has is passed over', async () => {
  const { changes, kinds, operations, ensure } = fake({ blobs: ['sha256:blob2'] });
  kinds.set(LOWER, 'committed');
  await ensure();
  await operations.drain(1000);
  assert.deepEqual(
    changes,
    UNPACKED.filter((change) => !change.includes(`extract ${LOWER}`) && change !== `commit ${LOWER}`),
  );
});

test('a snapshotter gets the name of the image if the configuration says so', async () => {
  const { config, snapshots, ensure } = fake();
  config.images.disable_snapshot_annotations = false;
  await ensure();
  const told = Object.entries(snapshots.get(LOWER) ?? {}).filter(([key]) => key.includes('/cri.'));
  assert.deepEqual(Object.fromEntries(told), {
    [`${SNAPSHOT}/cri.image-ref`]: 'a.io/app:v1',
    [`${SNAPSHOT}/cri.layer-digest`]: 'sha256:blob1',
    [`${SNAPSHOT}/cri.image-layers`]: 'sha256:blob1,sha256:blob2',
    [`${SNAPSHOT}/cri.manifest-digest`]: 'sha256:manifest',
  });
});

test('a layer that differs from the config is refused, and its snapshot is removed', async () => {
  const { changes, unpacking, ensure } = fake({ applies: () => 'sha256:other' });
  await assert.rejects(ensure(), {
    code: 'DATA_LOSS',
    message: /image "a\.io\/app:v1": .*layer sha256:blob1 holds sha256:other.*sha256:diff1/,
  });
  assert.deepEqual(changes, [...UNPACKED.slice(0, 2), `remove extract ${LOWER}`, 'release']);
  assert.deepEqual(unpacking.missingFor(IMAGE.id), []);
});

test('an image without its layers is marked as such until it is unpacked', async () => {
  const { blobs, changes, operations, unpacking, ensure } = fake({ blobs: ['sha256:blob1'] });
  await assert.rejects(ensure(), { code: 'NOT_FOUND', message: /layer sha256:blob2 .*pull the image again$/ });
  assert.deepEqual(unpacking.missingFor(IMAGE.id), ['native']);
  unpacking.forget(IMAGE.id);
  assert.deepEqual(unpacking.missingFor(IMAGE.id), []);
  await assert.rejects(ensure(), { code: 'NOT_FOUND' });
  assert.deepEqual(unpacking.missingFor(IMAGE.id), ['native']);
  assert.deepEqual(changes.slice(0, 6), [...UNPACKED.slice(0, 4), `remove extract ${UPPER}`, 'release']);
  blobs.add('sha256:blob2');
  await ensure();
  await operations.drain(1000);
  assert.deepEqual(unpacking.missingFor(IMAGE.id), []);
});
