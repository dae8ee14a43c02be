import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface TinyImage {
  readonly layer: Blob;
  readonly config: Blob;
  readonly manifest: Blob;
}

export interface TinyOptions {
  readonly user?: string;
  readonly architecture?: string;
  /** The labels in the image configuration. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Other execution parameters, such as `{ Entrypoint: ['/app'] }`. */
  readonly execution?: Readonly<Record<string, unknown>>;
  /** The annotations of the manifest. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** The alternative URLs of the layer. */
  readonly urls?: readonly string[];
  /** The file in the layer. The default has random content. */
  readonly file?: { readonly name: string; readonly content: string };
  /** Fields of the layer's descriptor in the manifest that override the true values. */
  readonly layerFields?: Readonly<Record<string, unknown>>;
}

/** Makes an image of one layer with one random file, which no containerd has yet. */
export function tinyImage(options: TinyOptions = {}): TinyImage {
  const { file } = options;
  const tar = file ? tarOf(file.name, Buffer.from(file.content)) : tarOf('random', randomBytes(64 * 1024));
  const layer = blobOf('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar));
  const config = jsonBlob('application/vnd.oci.image.config.v1+json', {
    os: 'linux',
    architecture: options.architecture ?? goArch(),
    config: { User: options.user ?? '', Cmd: ['/random'], Labels: options.labels ?? {}, ...options.execution },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  });
  const manifest = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptorOf(config),
    layers: [{ ...descriptorOf(layer), ...(options.urls && { urls: options.urls }), ...options.layerFields }],
    annotations: options.annotations ?? {},
  });
  return { layer, config, manifest };
}

/** Makes an index of images by architecture. */
export const indexOf = (images: Readonly<Record<string, TinyImage>>): Blob =>
  jsonBlob('application/vnd.oci.image.index.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: Object.entries(images).map(([architecture, { manifest }]) => ({
      ...descriptorOf(manifest),
      platform: { os: 'linux', architecture },
    })),
  });

export const goArch = (): string => (process.arch === 'x64' ? 'amd64' : process.arch);

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const blobOf = (mediaType: string, bytes: Buffer): Blob => ({ mediaType, digest: digestOf(bytes), bytes });
const jsonBlob = (mediaType: string, value: unknown): Blob => blobOf(mediaType, Buffer.from(JSON.stringify(value)));
const descriptorOf = ({ mediaType, digest, bytes }: Blob) => ({ mediaType, digest, size: bytes.length });

/** Makes a ustar archive of one file. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(content.length, 12) + octal(0, 12), 100);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}
