import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { tar, type TarEntry } from './tar.js';

const REQUEST_LIMIT_MS = 30_000;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

export interface Layer {
  readonly blob: Buffer;
  readonly diffId: string;
}

/** The `config` of an OCI image configuration. */
export interface ImageConfig {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
}

export interface Image {
  readonly repository: string;
  readonly tags: readonly string[];
  readonly layers: readonly Layer[];
  readonly config: ImageConfig;
}

export function layer(entries: readonly TarEntry[]): Layer {
  const archive = tar(entries);
  return { blob: gzipSync(archive, { level: 6 }), diffId: sha256(archive) };
}

/** Pushes an image to a registry (OCI distribution spec, "Push"); answers the manifest's digest. */
export async function pushImage(registry: string, image: Image): Promise<string> {
  const layers = [];
  for (const { blob } of image.layers) layers.push(await pushBlob(registry, image.repository, LAYER_TYPE, blob));
  const config = Buffer.from(JSON.stringify(imageConfiguration(image)));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: await pushBlob(registry, image.repository, CONFIG_TYPE, config),
      layers,
    }),
  );
  for (const tag of image.tags) {
    await request(`${registry}/v2/${image.repository}/manifests/${tag}`, 'PUT', manifest, MANIFEST_TYPE);
  }
  return sha256(manifest);
}

const imageConfiguration = ({ config, layers }: Image): unknown => ({
  architecture: process.arch === 'x64' ? 'amd64' : process.arch,
  os: 'linux',
  created: '2026-01-01T00:00:00Z',
  config,
  rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
});

async function pushBlob(registry: string, repository: string, mediaType: string, blob: Buffer) {
  const digest = sha256(blob);
  const descriptor = { mediaType, digest, size: blob.length };
  const there = await fetch(`${registry}/v2/${repository}/blobs/${digest}`, { method: 'HEAD', ...limited() });
  if (there.ok) return descriptor;
  const opened = await request(`${registry}/v2/${repository}/blobs/uploads/`, 'POST');
  const target = new URL(opened.headers.get('location') ?? '', registry);
  target.searchParams.set('digest', digest);
  await request(target.href, 'PUT', blob, 'application/octet-stream');
  return descriptor;
}

async function request(url: string, method: string, body?: Buffer, type?: string): Promise<Response> {
  const headers = type ? { 'content-type': type } : {};
  const init = body ? { body: new Uint8Array(body) } : {};
  const response = await fetch(url, { method, headers, ...init, ...limited() });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
  return response;
}

const limited = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(REQUEST_LIMIT_MS) });

const sha256 = (data: Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;
