import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/** An OCI artifact: its layers as text. */
export interface Artifact {
  readonly layers: readonly string[];
  /** Whether the digest is that of an index with the manifest. */
  readonly asIndex?: boolean;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** Pushes an artifact to a registry without a tag. Returns its digest. */
export async function pushArtifact(registry: string, repository: string, artifact: Artifact): Promise<string> {
  const base = `${registry}/v2/${repository}`;
  const blob = async (mediaType: string, text: string) => {
    await pushBlob(base, text);
    return descriptor(mediaType, text);
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: 'application/vnd.example.seccomp',
    config: await blob('application/vnd.oci.empty.v1+json', '{}'),
    layers: await Promise.all(artifact.layers.map((layer) => blob('application/vnd.example.seccomp.v1+json', layer))),
  };
  const pushed = await pushManifest(base, MANIFEST, manifest);
  if (artifact.asIndex !== true) return pushed.digest;
  return (await pushManifest(base, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: [pushed] })).digest;
}

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const descriptor = (mediaType: string, text: string) => ({ mediaType, digest: digestOf(text), size: text.length });

async function pushBlob(base: string, text: string): Promise<void> {
  const started = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  const url = new URL(started.headers.get('location') ?? assert.fail(String(started.status)), base);
  url.searchParams.set('digest', digestOf(text));
  const ended = await fetch(url, {
    method: 'PUT',
    body: text,
    headers: { 'content-type': 'application/octet-stream' },
  });
  assert.equal(ended.status, 201, await ended.text());
}

async function pushManifest(base: string, mediaType: string, value: object): Promise<ReturnType<typeof descriptor>> {
  const text = JSON.stringify(value);
  const pushed = await fetch(`${base}/manifests/${digestOf(text)}`, {
    method: 'PUT',
    body: text,
    headers: { 'content-type': mediaType },
  });
  assert.equal(pushed.status, 201, await pushed.text());
  return descriptor(mediaType, text);
}
