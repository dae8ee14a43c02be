import { createHash } from 'node:crypto';
import { CriError, doing } from '../base/errors.js';
import type { Content, Descriptor } from '../containerd/containerd.js';
import { hostPlatform } from '../containerd/platform.js';
import type { ImageConfig } from '../spec/image-config.js';

/** What an image is made of on this host's platform, read from its blobs. */
export interface ImageContent {
  /** The digest of its config. */
  readonly id: string;
  /** The digest of the manifest for this platform, whether or not the record points at an index. */
  readonly manifest: string;
  /** The name of the snapshot that a container starts from (OCI image-spec, config.md); "" for an image without layers. */
  readonly chainId: string;
  readonly config: ImageConfig;
  /** The container that it is a checkpoint of; undefined for an image that is none. */
  readonly checkpointOf: string | undefined;
  /** The sum of its blobs as the registry has them: index, manifest, config and compressed layers. */
  readonly sizeBytes: bigint;
}

interface BlobDescriptor {
  readonly mediaType?: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly os?: string; readonly architecture?: string; readonly variant?: string };
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

/** Registries refuse manifests above 4 MiB; a config may carry a long history. */
const MAX_BLOB_BYTES = 8 << 20;
/** An index may name an index; nobody nests them deeper. */
const MAX_INDEX_DEPTH = 3;

const INDEX = /^application\/vnd\.(?:oci\.image\.index\.v1|docker\.distribution\.manifest\.list\.v2)\+json$/;
const MANIFEST = /^application\/vnd\.(?:oci\.image\.manifest\.v1|docker\.distribution\.manifest\.v2)\+json$/;

/** NOT_FOUND when a blob is missing or nothing in an index is for this platform; DATA_LOSS when one makes no sense. */
export async function readImage(content: Pick<Content, 'read'>, target: Descriptor): Promise<ImageContent> {
  const { manifest, digest, sizeBytes, annotations } = await manifestOf(content, {
    mediaType: target.media_type,
    digest: target.digest,
    size: Number(target.size),
  });
  if (!manifest.config) throw new CriError('DATA_LOSS', `manifest ${digest} names no config`);
  const config = await readJson<ImageConfig>(content, manifest.config.digest);
  const layers = manifest.layers ?? [];
  return {
    id: manifest.config.digest,
    manifest: digest,
    chainId: chainIdOf(config.rootfs?.diff_ids ?? []),
    config,
    checkpointOf: CHECKPOINT_NAMES.map((name) => annotations[name]).find((name) => name !== undefined),
    sizeBytes: [manifest.config, ...layers].reduce((sum, blob) => sum + sizeOf(blob), sizeBytes),
  };
}

/** How an image says that it is a checkpoint, in its manifest or its index: as CRI-O began it, and as CRIU's tools do now. */
const CHECKPOINT_NAMES = ['org.criu.checkpoint.container.name', 'io.kubernetes.cri-o.annotations.checkpoint.name'];

/** Each layer's chain id is the digest of the one below it and its own diff id. */
const chainIdOf = (diffIds: readonly string[]): string =>
  diffIds.length === 0 ? '' : diffIds.reduce((chain, diff) => digestOf(`${chain} ${diff}`));

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** Sizes that are not known count nothing. */
const sizeOf = ({ size }: BlobDescriptor): bigint => (Number.isSafeInteger(size) && size > 0 ? BigInt(size) : 0n);

async function manifestOf(
  content: Pick<Content, 'read'>,
  target: BlobDescriptor,
): Promise<{
  manifest: Manifest;
  digest: string;
  sizeBytes: bigint;
  annotations: Readonly<Record<string, string>>;
}> {
  let at = target;
  let sizeBytes = 0n;
  let annotations = {};
  for (let depth = 0; depth < MAX_INDEX_DEPTH; depth++) {
    sizeBytes += sizeOf(at);
    const mediaType = at.mediaType ?? '';
    if (MANIFEST.test(mediaType)) {
      const manifest = await readJson<Manifest>(content, at.digest);
      return { manifest, digest: at.digest, sizeBytes, annotations: { ...annotations, ...manifest.annotations } };
    }
    if (!INDEX.test(mediaType))
      throw new CriError('DATA_LOSS', `${at.digest} is no image but ${mediaType || 'unknown'}`);
    const index = await readJson<Index>(content, at.digest);
    annotations = { ...annotations, ...index.annotations };
    at = forThisPlatform(index.manifests ?? [], at.digest);
  }
  throw new CriError('DATA_LOSS', `${target.digest} is an index of indexes, more than ${MAX_INDEX_DEPTH} deep`);
}

/** The best match first, then what names no platform. */
function forThisPlatform(manifests: readonly BlobDescriptor[], index: string): BlobDescriptor {
  const host = hostPlatform();
  const variants = VARIANTS[host.architecture] ?? [''];
  const rank = ({ platform, annotations }: BlobDescriptor): number => {
    if (annotations?.['vnd.docker.reference.type'] !== undefined) return -1;
    if (!platform) return variants.length;
    if (platform.os !== host.os || platform.architecture !== host.architecture) return -1;
    return variants.indexOf(platform.variant ?? '');
  };
  const [best] = manifests.filter((one) => rank(one) >= 0).sort((a, b) => rank(a) - rank(b));
  if (!best) throw new CriError('NOT_FOUND', `index ${index} has no image for ${host.os}/${host.architecture}`);
  return best;
}

/** What an architecture runs, best first; "" is what most images say. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  amd64: ['', 'v1'],
  arm64: ['v8', ''],
  arm: ['v7', '', 'v6', 'v5'],
};

async function readJson<T>(content: Pick<Content, 'read'>, digest: string): Promise<T> {
  const bytes = await content.read(digest, MAX_BLOB_BYTES);
  return doing(`blob ${digest}`, async () => {
    try {
      const value: unknown = JSON.parse(Buffer.from(bytes).toString());
      if (typeof value === 'object' && value !== null) return value as T;
    } catch (thrown) {
      throw new CriError('DATA_LOSS', 'it is no JSON', { cause: thrown });
    }
    throw new CriError('DATA_LOSS', 'it is no JSON object');
  });
}
