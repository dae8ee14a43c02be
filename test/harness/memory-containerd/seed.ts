import { createHash } from 'node:crypto';
import type { Descriptor } from '../../../src/containerd/containerd.js';
import { chainIdsOf } from '../../../src/state/image-layers.js';
import type { Store } from './store.js';

export interface SeededImage {
  readonly name: string;
  /** The digest of the config: the CRI image id. */
  readonly id: string;
  /** The snapshot from which containers start. */
  readonly chainId: string;
}

/** Puts an image of one layer into the store, unpacked for a snapshotter, as a pull leaves it. */
export function seedImage(
  store: Store,
  { name, snapshotter, config = {} }: { name: string; snapshotter: string; config?: object },
): SeededImage {
  const layer = put(store, 'application/vnd.oci.image.layer.v1.tar', Buffer.from(`layer of ${name}`));
  const [chainId = ''] = chainIdsOf([layer.digest]);
  const platform = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' };
  const { digest: id, ...configBlob } = put(
    store,
    'application/vnd.oci.image.config.v1+json',
    json({ ...platform, config, rootfs: { type: 'layers', diff_ids: [layer.digest] } }),
    { [`containerd.io/gc.ref.snapshot.${snapshotter}`]: chainId },
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: wire({ digest: id, ...configBlob }),
    layers: [wire(layer)],
  };
  const target = put(store, MANIFEST, json(manifest));
  store.snapshotsOf(snapshotter).set(chainId, { parent: '', kind: 'committed', labels: {} });
  store.images.set(name, { name, labels: { 'io.cri-containerd.image': 'managed' }, target });
  return { name, id, chainId };
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const wire = ({ media_type, digest, size }: Descriptor) => ({ mediaType: media_type, digest, size: Number(size) });

function put(store: Store, media_type: string, bytes: Buffer, labels: Record<string, string> = {}): Descriptor {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  store.blobs.set(digest, { bytes, labels });
  return { media_type, digest, size: BigInt(bytes.length), annotations: {} };
}
