import { createHash } from 'node:crypto';
import type { AuthConfig, PullImageRequest, PullImageResponse } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import { durationMs } from '../config/duration.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { digestName, fullName, parseReference, tagName, type Reference } from '../state/image-reference.js';
import { PINNED_LABEL, type LocalImage } from '../state/images.js';
import { canonicalJson, toGoJson } from '../state/go-json.js';
import { authFor } from './auth.js';
import type { ImageDeps } from './deps.js';
import { createProgress } from './progress.js';

const FIELD = 'image.image';
/** A pull that makes progress may take its time; one that does not is ended by the progress timeout. */
const LIMIT_MS = 24 * 3600_000;
const MANAGED = { 'io.cri-containerd.image': 'managed' };

/**
 * Pulls and unpacks an image (CRI PullImage) and answers its id, the digest of its config. Equal pulls are one.
 * NOT_FOUND: the registry has no such image; UNAVAILABLE: the registry cannot be reached; UNAUTHENTICATED,
 * PERMISSION_DENIED: it refuses; DEADLINE_EXCEEDED: nothing came for `image_pull_progress_timeout`.
 */
export const pullImage =
  (deps: ImageDeps) =>
  async (request: PullImageRequest, caller: Caller): Promise<PullImageResponse> => {
    if (!request.image || request.image.image === '') throw invalidArgument(FIELD, 'must not be empty');
    const reference = parseReference(request.image.image, FIELD);
    const { snapshotter } = deps.handlers.get(request.image.runtime_handler);
    const image = await pull(deps, { reference, snapshotter, auth: request.auth }, caller);
    return { image_ref: image.id };
  };

export interface Pull {
  readonly reference: Reference;
  readonly snapshotter: string;
  readonly auth: AuthConfig | undefined;
}

/** The pull as an operation on the reference: whoever asks for the same with the same credentials waits for the same. */
export async function pull(deps: ImageDeps, wanted: Pull, caller: Caller): Promise<LocalImage> {
  const name = fullName(wanted.reference);
  const progress = createProgress({
    reference: name,
    log: deps.log,
    timeoutMs: durationMs(deps.config.images.image_pull_progress_timeout),
  });
  return deps.operations.run({
    kind: 'pull image',
    subject: name,
    key: `image:${name}`,
    // The key must not give the credentials away, and operations are listed.
    fingerprint: createHash('sha256')
      .update(canonicalJson([wanted.snapshotter, toGoJson(wanted.auth ?? {})]))
      .digest('hex'),
    caller,
    limitMs: LIMIT_MS,
    work: async (steps) => {
      await steps.step('transfer', (signal) => transfer(deps, wanted, name, progress, signal), undefined, {
        timeoutMs: LIMIT_MS,
        waitingOn: progress.waitingOn,
      });
      return recordNames(deps, steps, wanted.reference, name);
    },
  });
}

async function transfer(
  deps: ImageDeps,
  { reference, snapshotter, auth }: Pull,
  name: string,
  progress: ReturnType<typeof createProgress>,
  signal: AbortSignal,
): Promise<void> {
  const { registry } = deps.config.images;
  const stalled = progress.begin();
  try {
    await deps.containerd.transfer.pull(
      {
        reference: name,
        credentials: (host) => authFor(host, { auth, domain: reference.domain, configs: registry.configs }),
        hostDir: hostDirOf(registry.config_path),
        headers: Object.fromEntries(Object.entries(registry.headers).map(([key, values]) => [key, values.join(', ')])),
        snapshotter,
        labels: labelsOf(deps, name),
        onProgress: progress.onProgress,
      },
      { signal: AbortSignal.any([signal, stalled]) },
    );
  } catch (thrown) {
    if (stalled.aborted) throw CriError.from(stalled.reason);
    throw thrown;
  } finally {
    progress.end();
  }
}

/** The transfer service takes one directory: the first of the list. */
const hostDirOf = (path: string): string => path.split(':')[0] ?? '';

const labelsOf = (deps: ImageDeps, name: string): Record<string, string> => {
  const pinned = Object.values(deps.config.images.pinned_images).some((image) => nameOf(image) === name);
  return pinned ? { ...MANAGED, [PINNED_LABEL]: 'pinned' } : MANAGED;
};

const nameOf = (image: string): string => fullName(parseReference(image, 'images.pinned_images'));

/**
 * Beside the record of the pull itself, one by repository and digest, one by tag where it was pulled by both, and one
 * by the bare id: so the image is found by each, as with containerd's own CRI plugin.
 */
async function recordNames(deps: ImageDeps, steps: Steps, reference: Reference, name: string): Promise<LocalImage> {
  const record = await deps.containerd.images.get(name, { signal: steps.signal });
  await deps.images.refresh(name);
  const image = deps.images.get(name);
  if (!image) throw new CriError('NOT_FOUND', `image "${name}": what was pulled has no image for this platform`);
  const names = [tagName(reference), digestName(reference, record.target.digest), image.id].filter(
    (one) => one !== undefined && one !== name,
  );
  for (const other of names as string[]) {
    await steps.step('record name', (signal) =>
      createOrUpdate(deps, { name: other, labels: labelsOf(deps, name), target: record.target }, signal),
    );
    await deps.images.refresh(other);
  }
  return deps.images.get(name) ?? image;
}

async function createOrUpdate(
  deps: ImageDeps,
  image: Parameters<ImageDeps['containerd']['images']['create']>[0],
  signal: AbortSignal,
): Promise<void> {
  try {
    await deps.containerd.images.create(image, { signal });
  } catch (thrown) {
    if (!(thrown instanceof CriError) || thrown.code !== 'ALREADY_EXISTS') throw thrown;
    await deps.containerd.images.update(image, ['target', ...Object.keys(image.labels).map((key) => `labels.${key}`)], {
      signal,
    });
  }
}
