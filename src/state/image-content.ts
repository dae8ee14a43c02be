import { CriError, doing, isCode } from '../base/errors.js';
import type { Content, Descriptor } from '../containerd/containerd.js';
import { hostPlatform, platformRank, type SpelledPlatform } from '../containerd/platform.js';
import type { ImageConfig } from '../spec/image-config.js';
import { atMostDescriptors, BLOB_TIMEOUT_MS, chainIdsOf, MANIFEST_BOUNDS, sizeOf } from './image-layers.js';
import { pickJson, type JsonBounds, type Picked } from './json-shape.js';

/** An image's content for this host's platform, read from its blobs. */
export interface ImageContent {
  /** The digest of the image's config. */
  readonly id: string;
  /** The digest of the manifest for this platform, also when the record points at an index. */
  readonly manifest: string;
  /** The name of the snapshot that a container starts from (OCI image-spec, config.md); "" without layers. */
  readonly chainId: string;
  readonly config: ImageConfig;
  /** The name of the container that the image is a checkpoint of; undefined for any other image. */
  readonly checkpointOf: string | undefined;
  /** The memory that `config` takes, in bytes. */
  readonly keptBytes: number;
  /** The sum of the blobs' sizes in the registry: index, manifest, config and compressed layers. */
  readonly sizeBytes: bigint;
}

interface BlobDescriptor {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly size?: number;
  readonly platform?: SpelledPlatform;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly config?: BlobDescriptor;
  readonly layers?: readonly BlobDescriptor[];
}

interface Index {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly manifests?: readonly BlobDescriptor[];
}

/** Labels may be large (bills of material) and are not kept. The kept fields go into a container's OCI spec. */
const CONFIG_BOUNDS: JsonBounds = { maxBytes: 64 << 20, maxKeptBytes: 256 << 10 };
/** An index may list another index; deeper nesting is not known in practice. */
const MAX_INDEX_DEPTH = 3;
/** The limit for one image. Entries without a platform, and nested indexes, make crid read more than three. */
const MAX_BLOBS_READ = 64;

const INDEX = /^application\/vnd\.(?:oci\.image\.index\.v1|docker\.distribution\.manifest\.list\.v2)\+json$/;
const MANIFEST = /^application\/vnd\.(?:oci\.image\.manifest\.v1|docker\.distribution\.manifest\.v2)\+json$/;

/** The annotations that mark a checkpoint, in the manifest or index: the first by CRIU's tools, the second by CRI-O. */
const CHECKPOINT_NAMES = ['org.criu.checkpoint.container.name', 'io.kubernetes.cri-o.annotations.checkpoint.name'];
/** Marks an index entry that is a build attestation, not an image. */
const ATTESTATION = 'vnd.docker.reference.type';

const texts = (names: readonly string[]) => ({
  fields: Object.fromEntries(names.map((name) => [name, 'text'] as const)),
});
const DESCRIPTOR = { mediaType: 'text', digest: 'text', size: 'number' } as const;
const MANIFEST_SHAPE = {
  fields: {
    annotations: texts(CHECKPOINT_NAMES),
    config: { fields: DESCRIPTOR },
    layers: { each: { fields: DESCRIPTOR } },
  },
} as const;
const INDEX_SHAPE = {
  fields: {
    annotations: texts(CHECKPOINT_NAMES),
    manifests: {
      each: {
        fields: {
          ...DESCRIPTOR,
          platform: texts(['os', 'architecture', 'variant']),
          annotations: texts([ATTESTATION]),
        },
      },
    },
  },
} as const;
const CONFIG_SHAPE = {
  fields: {
    architecture: 'text',
    os: 'text',
    variant: 'text',
    config: {
      fields: {
        User: 'text',
        Env: 'texts',
        Entrypoint: 'texts',
        Cmd: 'texts',
        WorkingDir: 'text',
        StopSignal: 'text',
        Volumes: 'keys',
      },
    },
    rootfs: { fields: { type: 'text', diff_ids: 'texts' } },
  },
} as const;

/**
 * Reads an image in chunks and keeps what a container needs of it. NOT_FOUND: a blob is missing, or an index has no
 * entry for this platform; DATA_LOSS: a blob is malformed; RESOURCE_EXHAUSTED: a blob exceeds a bound.
 */
export async function readImage(content: Pick<Content, 'stream'>, target: Descriptor): Promise<ImageContent> {
  const blobs = createBlobs(content);
  const top = { mediaType: target.media_type, digest: target.digest, size: Number(target.size) };
  const found = await find(blobs, top, { depth: 0, isEntry: false });
  if (!found) {
    const { os, architecture } = hostPlatform();
    throw new CriError('NOT_FOUND', `index ${target.digest} has no image for ${os}/${architecture}`);
  }
  const { manifest, digest, sizeBytes, annotations, config } = found;
  return {
    id: manifest.config?.digest ?? '',
    manifest: digest,
    chainId: chainIdsOf(config.value.rootfs?.diff_ids ?? []).at(-1) ?? '',
    config: config.value,
    keptBytes: config.keptBytes,
    checkpointOf: CHECKPOINT_NAMES.map((name) => annotations[name]).find((name) => name !== undefined),
    sizeBytes: [...(manifest.config ? [manifest.config] : []), ...(manifest.layers ?? [])].reduce(
      (sum, blob) => sum + sizeOf(blob.size),
      sizeBytes,
    ),
  };
}

interface Found {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly config: KeptConfig;
  readonly sizeBytes: bigint;
  readonly annotations: Readonly<Record<string, string>>;
}

interface KeptConfig {
  readonly value: ImageConfig;
  readonly keptBytes: number;
}

/**
 * Returns the image for this platform or undefined. `isEntry`: an index entry without a platform; its config decides.
 */
async function find(
  blobs: Blobs,
  at: BlobDescriptor,
  { depth, isEntry }: { depth: number; isEntry: boolean },
): Promise<Found | undefined> {
  const { mediaType = '', digest = '' } = at;
  if (MANIFEST.test(mediaType)) return findManifest(blobs, at, isEntry);
  if (!INDEX.test(mediaType))
    throw new CriError('DATA_LOSS', `${digest} is not an image but ${mediaType || 'of unknown type'}`);
  if (depth === MAX_INDEX_DEPTH) {
    throw new CriError('DATA_LOSS', `${digest} is an index nested more than ${MAX_INDEX_DEPTH} levels deep`);
  }
  const index = (await blobs.read(digest, 'index', INDEX_SHAPE, MANIFEST_BOUNDS)).value as Index;
  for (const entry of candidates(atMostDescriptors(index.manifests ?? [], `index ${digest}`))) {
    const found = await unlessMissing(find(blobs, entry, { depth: depth + 1, isEntry: !entry.platform }));
    if (!found) continue;
    const annotations = { ...index.annotations, ...found.annotations };
    return { ...found, annotations, sizeBytes: found.sizeBytes + sizeOf(at.size) };
  }
  return undefined;
}

async function findManifest(blobs: Blobs, at: BlobDescriptor, isEntry: boolean): Promise<Found | undefined> {
  const { digest = '' } = at;
  const manifest = (await blobs.read(digest, 'manifest', MANIFEST_SHAPE, MANIFEST_BOUNDS)).value as Manifest;
  atMostDescriptors(manifest.layers ?? [], `manifest ${digest}`);
  if (!manifest.config?.digest) throw new CriError('DATA_LOSS', `manifest ${digest} names no config`);
  const config = await blobs.read(manifest.config.digest, 'config', CONFIG_SHAPE, CONFIG_BOUNDS);
  if (isEntry && platformRank(config.value) === undefined) return undefined;
  return { manifest, digest, config, sizeBytes: sizeOf(at.size), annotations: manifest.annotations ?? {} };
}

/** Sorts this platform's entries, the best match first, then those without a platform: their configs decide. */
function candidates(entries: readonly BlobDescriptor[]): BlobDescriptor[] {
  const ranked = entries.flatMap((entry) => {
    if (entry.annotations?.[ATTESTATION] !== undefined) return [];
    const rank = entry.platform ? platformRank(entry.platform) : Number.MAX_SAFE_INTEGER;
    return rank === undefined ? [] : [{ entry, rank }];
  });
  return ranked.sort((a, b) => a.rank - b.rank).map(({ entry }) => entry);
}

/** A missing blob gives undefined: containerd fetches only this platform's blobs, so the entry is for another one. */
async function unlessMissing(found: Promise<Found | undefined>): Promise<Found | undefined> {
  try {
    return await found;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  }
}

interface Blobs {
  read(digest: string, role: string, shape: Parameters<typeof pickJson>[1], bounds: JsonBounds): Promise<Picked>;
}

/** Reads at most `MAX_BLOBS_READ` blobs of one image. */
function createBlobs(content: Pick<Content, 'stream'>): Blobs {
  let reads = 0;
  return {
    read: async (digest, role, shape, bounds) => {
      if (++reads > MAX_BLOBS_READ) {
        throw new CriError(
          'RESOURCE_EXHAUSTED',
          `more than ${MAX_BLOBS_READ} blobs to find its image for this platform`,
        );
      }
      return doing(`${role} ${digest}`, () =>
        pickJson(content.stream(digest, { timeoutMs: BLOB_TIMEOUT_MS }), shape, bounds),
      );
    },
  };
}
