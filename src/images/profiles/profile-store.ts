import { CriError, isCode } from '../../base/errors.js';
import { parseExactJson } from '../../base/exact-json.js';
import type { Containerd, ContentStores, Descriptor, ImageRecord, Labels } from '../../containerd/containerd.js';
import type { OciSeccomp } from '../../spec/oci.js';
import { parsePulledSeccomp } from '../../spec/security/pulled-seccomp.js';
import { sizeOf } from '../../state/image-layers.js';
import { isDigest } from '../../state/image-reference.js';
import { pickJson, type JsonBounds } from '../../state/json-shape.js';

/** A profile that has been pulled, by all its references. */
export interface StoredProfile {
  /** The digest of its manifest. */
  readonly digest: string;
  /** The texts with which it was pulled. */
  readonly references: readonly string[];
  readonly sizeBytes: bigint;
}

/** A profile as its blobs in containerd have it. */
export interface ReadProfile {
  readonly profile: OciSeccomp;
  /** The sum of its blobs: manifest, config and layer. */
  readonly sizeBytes: bigint;
}

/**
 * The pulled security profiles. They are image records of a namespace of their own, so that neither crid nor
 * containerd's CRI plugin takes them for images: docs/decisions/security-profiles.md.
 */
export interface ProfileStore {
  readonly stores: ContentStores;
  list(signal?: AbortSignal): Promise<StoredProfile[]>;
  /** Returns the record of a reference; undefined if there is none, or none that a pull has completed. */
  find(reference: string, signal?: AbortSignal): Promise<ImageRecord | undefined>;
  /**
   * Reads a profile. NOT_FOUND: containerd does not have all of it; INVALID_ARGUMENT with `SecurityProfileInvalid`: it
   * is not a seccomp profile.
   */
  read(target: Descriptor, signal?: AbortSignal): Promise<ReadProfile>;
}

export function createProfileStore(containerd: Pick<Containerd, 'namespace' | 'ofNamespace'>): ProfileStore {
  const stores = containerd.ofNamespace(`${containerd.namespace}${NAMESPACE_SUFFIX}`);
  return {
    stores,
    async list(signal) {
      const profiles = new Map<string, StoredProfile>();
      for (const { name, target, labels } of await stores.images.list([], { signal })) {
        if (!isComplete(labels)) continue;
        const references = [...(profiles.get(target.digest)?.references ?? []), name].sort();
        profiles.set(target.digest, { digest: target.digest, references, sizeBytes: sizeIn(labels) });
      }
      return [...profiles.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
    },
    async find(reference, signal) {
      try {
        const record = await stores.images.get(reference, { signal });
        return isComplete(record.labels) ? record : undefined;
      } catch (thrown) {
        if (isCode(thrown, 'NOT_FOUND')) return undefined;
        throw thrown;
      }
    },
    read: (target, signal) => readProfile(stores.content, target, signal),
  };
}

/** The namespace of containerd is that of crid with this suffix. */
export const NAMESPACE_SUFFIX = '.security-profiles';

const KIND_LABEL = 'io.crid.security-profile';
const SIZE_LABEL = 'io.crid.security-profile.size';

/** The labels of a record whose profile has been checked. */
export const completeLabels = (sizeBytes: bigint): Labels => ({
  [KIND_LABEL]: 'seccomp',
  [SIZE_LABEL]: sizeBytes.toString(),
});

const isComplete = (labels: Labels): boolean => labels[KIND_LABEL] === 'seccomp';

const sizeIn = (labels: Labels): bigint =>
  /^\d{1,18}$/.test(labels[SIZE_LABEL] ?? '') ? BigInt(labels[SIZE_LABEL] ?? '0') : 0n;

/** As for a Localhost profile: src/host/security/host-seccomp.ts. */
const MAX_PROFILE_BYTES = 1 << 20;
const MANIFEST_BOUNDS: JsonBounds = { maxBytes: 256 << 10, maxKeptBytes: 64 << 10 };
const MANIFEST_SHAPE = {
  fields: { config: { fields: { size: 'number' } }, layers: { each: { fields: { digest: 'text' } } } },
} as const;
/** The limit on all blobs of an artifact. */
export const MAX_ARTIFACT_BYTES = 2 << 20;
const BLOB_TIMEOUT_MS = 60_000;

const MANIFEST = /^application\/vnd\.(?:oci\.image\.manifest\.v1|docker\.distribution\.manifest\.v2)\+json$/;

async function readProfile(
  content: ContentStores['content'],
  target: Descriptor,
  signal: AbortSignal | undefined,
): Promise<ReadProfile> {
  if (!MANIFEST.test(target.media_type)) throw invalidProfile(`${JSON.stringify(target.media_type)} is not a manifest`);
  const options = { signal, timeoutMs: BLOB_TIMEOUT_MS };
  const { value } = await orInvalid(
    () => pickJson(content.stream(target.digest, options), MANIFEST_SHAPE, MANIFEST_BOUNDS),
    'its manifest',
  );
  const { config, layers = [] } = value as Manifest;
  const digest = layers[0]?.digest ?? '';
  if (layers.length !== 1 || !isDigest(digest)) {
    throw invalidProfile(`its manifest has ${layers.length} layers, expected the profile alone`);
  }
  const bytes = await orInvalid(() => content.read(digest, MAX_PROFILE_BYTES, options), 'its layer');
  const sizeBytes = target.size + sizeOf(config?.size) + BigInt(bytes.length);
  return { profile: await orInvalid(async () => parsePulledSeccomp(asJson(bytes)), 'its layer'), sizeBytes };
}

interface Manifest {
  readonly config?: { readonly size?: number };
  readonly layers?: readonly { readonly digest?: string }[];
}

function asJson(bytes: Uint8Array): unknown {
  try {
    return parseExactJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new CriError('DATA_LOSS', 'it is not JSON');
  }
}

/** Runs `work`, whose errors about the content itself become those of an invalid profile. */
async function orInvalid<T>(work: () => Promise<T>, what: string): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const { code, detail } = CriError.from(thrown);
    if (code !== 'DATA_LOSS' && code !== 'RESOURCE_EXHAUSTED' && code !== 'INVALID_ARGUMENT') throw thrown;
    throw invalidProfile(`${what}: ${detail}`);
  }
}

/** The error for a request or an artifact that will never do: a kubelet does not try again. */
export const invalidProfile = (problem: string): CriError =>
  new CriError('INVALID_ARGUMENT', problem, { reason: 'SecurityProfileInvalid' });
