import { createHash } from 'node:crypto';
import { CriError } from '../base/errors.js';
import type { Containerd, Descriptor } from '../containerd/containerd.js';
import { hostPlatform } from '../containerd/platform.js';
import type { ImageConfig } from '../spec/image-config.js';

/** What the content store says of an image. */
export interface ImageContent {
  /** The digest of its config. */
  readonly id: string;
  /** The digest of what the record points at: an index or a manifest. */
  readonly target: string;
  /** The name of the snapshot of its topmost layer (OCI image spec, config.md, layer chain id). */
  readonly chainId: string;
  readonly config: ImageConfig;
  /** Config and text of it whole, for verbose statuses. */
  readonly configJson: string;
  /** Manifest, config and layers as they were pulled: what containerd's CRI plugin reports as the size. */
  readonly sizeBytes: bigint;
}

const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;
/** An index may point at an index; deeper than this nobody means it. */
const MAX_DEPTH = 4;

interface Manifest {
  readonly mediaType?: string;
  readonly manifests?: readonly (WireDescriptor & {
    readonly platform?: { readonly os?: string; readonly architecture?: string; readonly variant?: string };
  })[];
  readonly config?: WireDescriptor;
  readonly layers?: readonly WireDescriptor[];
}

interface WireDescriptor {
  readonly digest: string;
  readonly size: number;
}

/** Reads index, manifest and config of this platform's image. NOT_FOUND when the index has none for it. */
export async function readImage(
  content: Containerd['content'],
  target: Pick<Descriptor, 'digest' | 'size'>,
): Promise<ImageContent> {
  const { manifest, bytes } = await readManifest(content, target.digest, 0);
  const { config: configDescriptor, layers = [] } = manifest;
  if (!configDescriptor) throw new CriError('INVALID_ARGUMENT', `manifest "${target.digest}" has no config`);
  const configBytes = await content.read(configDescriptor.digest, MAX_DOCUMENT_BYTES);
  const configJson = Buffer.from(configBytes).toString('utf8');
  const config = parse<ImageConfig>(configJson, configDescriptor.digest);
  return {
    id: configDescriptor.digest,
    target: target.digest,
    chainId: chainId(config.rootfs?.diff_ids ?? []),
    config,
    configJson,
    sizeBytes: [bytes, configDescriptor.size, ...layers.map(({ size }) => size)].reduce(
      (sum, size) => sum + BigInt(size),
      0n,
    ),
  };
}

async function readManifest(
  content: Containerd['content'],
  digest: string,
  depth: number,
): Promise<{ manifest: Manifest; bytes: number }> {
  const bytes = await content.read(digest, MAX_DOCUMENT_BYTES);
  const manifest = parse<Manifest>(Buffer.from(bytes).toString('utf8'), digest);
  if (!manifest.manifests) return { manifest, bytes: bytes.length };
  const { os, architecture } = hostPlatform();
  const own = manifest.manifests.find(({ platform }) => platform?.os === os && platform.architecture === architecture);
  if (!own || depth === MAX_DEPTH)
    throw new CriError('NOT_FOUND', `index "${digest}" has no image for ${os}/${architecture}`);
  return readManifest(content, own.digest, depth + 1);
}

function parse<T>(text: string, digest: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (thrown) {
    throw new CriError('DATA_LOSS', `content "${digest}" is not JSON: ${(thrown as Error).message}`);
  }
}

/** ChainID(L0|…|Ln) = SHA256(ChainID(L0|…|Ln-1) + " " + DiffID(Ln)) */
export const chainId = (diffIds: readonly string[]): string =>
  diffIds.reduce(
    (chain, diffId) =>
      chain === '' ? diffId : `sha256:${createHash('sha256').update(`${chain} ${diffId}`).digest('hex')}`,
    '',
  );
