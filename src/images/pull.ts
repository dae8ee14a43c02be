import type { AuthConfig } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { CriError, doing } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { durationMs } from '../config/duration.js';
import type { Descriptor } from '../containerd/containerd.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { ImageEntry, LocalImage } from '../state/image-cache.js';
import type { ImageContent } from '../state/image-content.js';
import { findRecord, imageLabels, putRecord, restoreRecord } from '../state/image-records.js';
import { hasLabels } from '../state/labels.js';
import type { ImageReference } from '../state/image-reference.js';
import { credentialsFor, fingerprintOf, type Credentials } from './auth.js';
import type { ImageDeps } from './image-deps.js';
import { leasePull, releaseBesideAnswer } from './pull-lease.js';
import type { PullWatch } from './pull-watch.js';
import { registryRequest } from './registry-request.js';

/** The limit for a pull that makes progress; the progress timeout ends one that does not. */
const LIMIT_MS = 24 * 60 * 60_000;

export interface Pull {
  readonly reference: ImageReference;
  readonly snapshotter: string;
  readonly auth: AuthConfig | undefined;
}

/**
 * Pulls an image as an operation on the reference: requests for the same image with the same snapshotter and
 * credentials share one pull. A failed pull restores the image records. containerd garbage-collects the content it
 * fetched, or reuses it for an early retry.
 */
export function pull(deps: ImageDeps, wanted: Pull, caller: Caller): Promise<LocalImage> {
  const name = wanted.reference.text;
  const credentials = credentialsFor(wanted.auth, deps.config.images.registry);
  return deps.operations.run({
    kind: 'pull image',
    subject: name,
    key: `image:${name}`,
    fingerprint: fingerprintOf(wanted.snapshotter, wanted.auth),
    caller,
    limitMs: LIMIT_MS,
    work: (steps) => run(deps, wanted, credentials, steps),
  });
}

async function run(
  deps: ImageDeps,
  { reference, snapshotter }: Pull,
  credentials: Credentials | undefined,
  steps: Steps,
): Promise<LocalImage> {
  const startedMs = performance.now();
  const name = reference.text;
  const pulled = (image: LocalImage): LocalImage => {
    const took = { durationMs: Math.round(performance.now() - startedMs), sizeBytes: image.sizeBytes.toString() };
    logOf(deps.log).info({ image: name, id: image.id, snapshotter, ...took }, 'image pulled');
    return image;
  };
  // containerd skips the blobs of layers that the snapshotter has. If another snapshotter needs them, fetch all blobs.
  const lacking = deps.unpacking.missingFor(deps.images.entry(name)?.content.id ?? '');
  // The transfer service cannot sync what it unpacks, so crid unpacks where that is configured.
  const unpackFor = lacking.length === 0 && !deps.config.images.image_pull_with_sync_fs ? snapshotter : undefined;
  const fetching = { name, reference, snapshotter: unpackFor, credentials };
  // Credentials are asked for in a stream that containerd removes only with a lease.
  const needsLease = unpackFor === undefined || credentials !== undefined;
  const unchanged = needsLease ? undefined : await renew(deps, steps, { ...fetching, lease: '' });
  if (unchanged) return pulled(unchanged);
  const [lease, undo] = await Promise.all([leasePull(deps.containerd, steps, LIMIT_MS), restorer(deps, steps, name)]);
  const { saved, unpackedFor } = await fetchImage(deps, steps, { ...fetching, lease }, undo);
  const { target, id } = await readRecord(deps, steps, name, saved);
  const others = otherNames(reference, { id, target });
  // Unpacking must end before the records are created: if it failed in parallel, containerd could still create a record
  // after its call was cancelled and undone.
  await unpackFetched(deps, steps, imageOf(deps, id, name), [snapshotter, ...lacking], unpackedFor);
  await Promise.all(others.map((other) => nameImage(deps, steps, { name: other, target, like: name })));
  const image = imageOf(deps, id, name);
  releaseBesideAnswer(deps, lease, id);
  return pulled(image);
}

/** The names of the image besides the reference: its id, and repository and digest. */
const otherNames = (reference: ImageReference, { id, target }: { id: string; target: Descriptor }): string[] =>
  [id, `${reference.repository}@${reference.digest ?? target.digest}`].filter((other) => other !== reference.text);

/**
 * Pulls an image that has all its names again. They keep its content, so that no lease is needed. Returns undefined,
 * and the image must be pulled under a lease, if a name is missing, or the registry has another image by that name now.
 */
async function renew(deps: ImageDeps, steps: Steps, fetching: Fetching): Promise<LocalImage | undefined> {
  const { name, reference, snapshotter = '' } = fetching;
  const { images } = deps;
  const complete = (): ImageEntry | undefined => {
    const entry = images.entry(name);
    if (!entry) return undefined;
    const { target } = entry.record;
    const names = [name, ...otherNames(reference, { id: entry.content.id, target })];
    return names.every((each) => isNamed(deps, { name: each, target, like: name })) ? entry : undefined;
  };
  if (!complete()) return undefined;
  const { saved, unpackedFor } = await fetchImage(deps, steps, fetching, await restorer(deps, steps, name));
  // Before 2.2 only the record says which image it is now.
  if (!saved) await steps.step('read record', () => images.refresh(name));
  const entry = complete();
  if (!entry || (saved && entry.record.target.digest !== saved.digest)) return undefined;
  const image = imageOf(deps, entry.content.id, name);
  await unpackFetched(deps, steps, image, [snapshotter], unpackedFor);
  return image;
}

function imageOf(deps: Pick<ImageDeps, 'images'>, id: string, name: string): LocalImage {
  const image = deps.images.get(id);
  if (image) return image;
  throw new CriError('ABORTED', `image "${name}" was removed while it was pulled`);
}

/**
 * Unpacks the image for the snapshotters that do not have it; does nothing for the others. The pull has seen to that of
 * `unpackedFor`.
 */
async function unpackFetched(
  deps: Pick<ImageDeps, 'unpacking'>,
  steps: Steps,
  image: LocalImage,
  snapshotters: readonly string[],
  unpackedFor: string | undefined,
): Promise<void> {
  for (const each of new Set(snapshotters)) if (each !== unpackedFor) await deps.unpacking.step(steps, image, each);
}

interface Fetching {
  readonly name: string;
  readonly reference: ImageReference;
  /** undefined: containerd fetches all layers and unpacks none of them. */
  readonly snapshotter: string | undefined;
  readonly credentials: Credentials | undefined;
  /** "" for none. */
  readonly lease: string;
}

interface Fetched {
  /** The target of the image record; undefined if containerd (before 2.2) does not report it. */
  readonly saved: Descriptor | undefined;
  /** The snapshotter that has all layers of the image now; undefined if containerd has only fetched them. */
  readonly unpackedFor: string | undefined;
}

/** Fetches and unpacks with the transfer service, which creates the image record `name`. */
async function fetchImage(
  deps: Pick<ImageDeps, 'config' | 'containerd' | 'log' | 'watchPull'>,
  steps: Steps,
  fetching: Fetching,
  undo: () => Promise<void>,
): Promise<Fetched> {
  const timeoutMs = durationMs(deps.config.images.image_pull_progress_timeout);
  const watch = deps.watchPull({ reference: fetching.name, timeoutMs, log: logOf(deps.log) });
  return steps.step('fetch', (signal) => transfer(deps, fetching, watch, signal), undo, {
    timeoutMs: LIMIT_MS,
    waitingOn: watch.waitingOn,
  });
}

/**
 * Returns the target of the record and its content, which is read only if no cached record has the same target.
 * `saved`: the target, if it is known. The cache may have the record already, from containerd's events.
 */
async function readRecord(
  deps: Pick<ImageDeps, 'config' | 'containerd' | 'images'>,
  steps: Steps,
  name: string,
  saved: Descriptor | undefined,
): Promise<Pick<ImageContent, 'id' | 'chainId'> & { target: Descriptor }> {
  const entry = await steps.step('read record', async () => {
    await deps.images.refresh(name, () => saved !== undefined && isNamed(deps, { name, target: saved, like: name }));
    return deps.images.entry(name);
  });
  if (entry) return { ...entry.content, target: entry.record.target };
  // The cache leaves out an image that cannot be read; read it here for the error.
  return steps.step('read image', async (signal) => {
    const { target } = await deps.containerd.images.get(name, { signal });
    const content = await doing(`image "${name}"`, () => deps.images.read(target));
    return { ...content, target };
  });
}

async function transfer(
  deps: Pick<ImageDeps, 'config' | 'containerd'>,
  fetching: Fetching,
  watch: PullWatch,
  signal: AbortSignal,
): Promise<Fetched> {
  const request = {
    ...(await registryRequest(deps.config, fetching.reference, fetching.credentials)),
    labels: imageLabels(deps.config.images, fetching.name),
    onProgress: watch.onProgress,
  };
  const stalled = watch.begin();
  const pullFor = async (snapshotter: string | undefined): Promise<Fetched> => {
    const saved = await withAnySignal([signal, stalled], (ended) =>
      deps.containerd.transfer.pull({ ...request, snapshotter }, { signal: ended, lease: fetching.lease }),
    );
    return { saved, unpackedFor: snapshotter };
  };
  try {
    return await pullFor(fetching.snapshotter).catch((thrown: unknown) => {
      if (!NOT_UNPACKING.test(CriError.from(thrown).message)) throw thrown;
      return pullFor(undefined);
    });
  } catch (thrown) {
    throw watch.stalled() ?? CriError.from(thrown);
  } finally {
    watch.end();
  }
}

/** containerd's error, before it fetches a layer, when `unpack_config` has no entry for the wanted snapshotter. */
const NOT_UNPACKING = /no unpack platforms defined/;

/** A name that an image is to have, with the labels of the name `like`. */
interface Naming {
  readonly name: string;
  readonly target: Descriptor;
  readonly like: string;
}

/** Whether the cache has the record. */
function isNamed({ config, images }: Pick<ImageDeps, 'config' | 'images'>, { name, target, like }: Naming): boolean {
  const known = images.entry(name)?.record;
  if (known?.target.digest !== target.digest) return false;
  return hasLabels(known.labels, imageLabels(config.images, like));
}

/** Creates another record for the image, as containerd's CRI plugin does: repository and digest, or the bare id. */
async function nameImage(
  deps: Pick<ImageDeps, 'config' | 'containerd' | 'images'>,
  steps: Steps,
  naming: Naming,
): Promise<void> {
  if (isNamed(deps, naming)) return;
  const { name, target, like } = naming;
  const undo = await restorer(deps, steps, name);
  const record = { name, target, labels: imageLabels(deps.config.images, like) };
  const written = await steps.step(
    `record ${name}`,
    (signal) => putRecord(deps.containerd.images, record, { signal }),
    undo,
  );
  await deps.images.take(written);
}

/** Returns an undo that restores the record `name`, and the cache, to the present state. */
async function restorer(
  deps: Pick<ImageDeps, 'containerd' | 'images'>,
  steps: Steps,
  name: string,
): Promise<() => Promise<void>> {
  const { images } = deps.containerd;
  const known = deps.images.entry(name)?.record;
  const before = known ?? (await steps.step(`look up ${name}`, (signal) => findRecord(images, name, { signal })));
  return async () => {
    await restoreRecord(images, name, before);
    await deps.images.refresh(name);
  };
}
