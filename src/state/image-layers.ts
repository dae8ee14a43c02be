import { createHash } from 'node:crypto';
import { CriError } from '../base/errors.js';
import type { Content, Descriptor } from '../containerd/containerd.js';
import { pickJson, type JsonBounds } from './json-shape.js';

/** A layer of an image. */
export interface ImageLayer {
  /** The layer's blob, with only the annotations that a snapshotter reads. */
  readonly blob: Descriptor;
  /** The digest of the uncompressed tar. */
  readonly diffId: string;
  /** The name of the snapshot of this layer and all below it. */
  readonly chainId: string;
}

/** Returns each layer's chain id: the digest of the chain id below and its own diff id (OCI image-spec, config.md). */
export function chainIdsOf(diffIds: readonly string[]): string[] {
  const chainIds: string[] = [];
  for (const diffId of diffIds) {
    const below = chainIds.at(-1);
    chainIds.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chainIds;
}

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** The prefix of the layer annotations that containerd passes to the snapshotter as labels. */
const FOR_SNAPSHOTTERS = 'containerd.io/snapshot';
const MANIFEST_SHAPE = {
  fields: {
    layers: {
      each: {
        fields: { mediaType: 'text', digest: 'text', size: 'number', annotations: { under: FOR_SNAPSHOTTERS } },
      },
    },
  },
} as const;
/** Registries refuse manifests above 4 MiB. */
export const MANIFEST_BOUNDS: JsonBounds = { maxBytes: 8 << 20, maxKeptBytes: 4 << 20 };
export const BLOB_TIMEOUT_MS = 60_000;
const LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar|erofs\.layer\.v1)/;

/** The entries of one index or the layers of one manifest; containerd 2.4 refuses to pull more. */
const MAX_DESCRIPTORS = 10_000;

/** Returns the descriptors; RESOURCE_EXHAUSTED: there are more than an image may have. */
export function atMostDescriptors<T>(descriptors: readonly T[], what: string): readonly T[] {
  if (descriptors.length <= MAX_DESCRIPTORS) return descriptors;
  throw new CriError(
    'RESOURCE_EXHAUSTED',
    `${what} has ${descriptors.length} entries, and at most ${MAX_DESCRIPTORS} are read`,
  );
}

/**
 * Returns the layers of a manifest, lowest first. NOT_FOUND: containerd does not have the manifest; DATA_LOSS: the
 * number of layers differs from that of the config's diff ids.
 */
export async function readLayers(
  content: Pick<Content, 'stream'>,
  image: { readonly manifest: string; readonly diffIds: readonly string[] },
  signal: AbortSignal,
): Promise<ImageLayer[]> {
  const { manifest, diffIds } = image;
  const chunks = content.stream(manifest, { signal, timeoutMs: BLOB_TIMEOUT_MS });
  const { value } = await pickJson(chunks, MANIFEST_SHAPE, MANIFEST_BOUNDS);
  const { layers = [] } = value as { layers?: readonly ManifestLayer[] };
  const blobs = atMostDescriptors(layers, `manifest ${manifest}`)
    .filter(({ mediaType = '' }) => LAYER.test(mediaType))
    .map(descriptorOf);
  if (blobs.length !== diffIds.length) {
    const problem = `manifest ${manifest} has ${blobs.length} layers, its config ${diffIds.length} diff ids`;
    throw new CriError('DATA_LOSS', problem);
  }
  const chainIds = chainIdsOf(diffIds);
  return blobs.map((blob, index) => ({ blob, diffId: diffIds[index] ?? '', chainId: chainIds[index] ?? '' }));
}

/** Returns the size of a blob as its descriptor gives it; 0 when that makes no sense. */
export const sizeOf = (size: number | undefined): bigint =>
  size !== undefined && Number.isSafeInteger(size) && size > 0 ? BigInt(size) : 0n;

interface ManifestLayer {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly size?: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

const descriptorOf = ({ mediaType = '', digest = '', size, annotations = {} }: ManifestLayer): Descriptor => ({
  media_type: mediaType,
  digest,
  size: sizeOf(size),
  annotations,
});
