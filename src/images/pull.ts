import type { AuthConfig } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { CriError, doing } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { durationMs } from '../config/duration.js';
import type { Descriptor } from '../containerd/containerd.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { LocalImage } from '../state/image-cache.js';
import type { ImageContent } from '../state/image-content.js';
import { findRecord, imageLabels, putRecord, restoreRecord } from '../state/image-records.js';
import { hasLabels } from '../state/labels.js';
import type { ImageReference } from '../state/image-reference.js';
import { credentialsFor, fingerprintOf, type Credentials } from './auth.js';
import type { ImageDeps } from './image-deps.js';
import { leasePull, releaseBesideAnswer } from './pull-lease.js';
import { watchPull, type PullWatch } from './pull-watch.js';
import { registryHosts } from './registry-hosts.js';

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
  const [lease, undo] = await Promise.all([leasePull(deps.containerd, steps, LIMIT_MS), restorer(deps, steps, name)]);
  // containerd skips the blobs of layers that the snapshotter has. If another snapshotter needs them, fetch all blobs.
  const lacking = deps.unpacking.missingFor(deps.images.entry(name)?.content.id ?? '');
  const unpackFor = lacking.length === 0 ? snapshotter : undefined;
  await fetchImage(deps, steps, { name, reference, snapshotter: unpackFor, credentials, lease }, undo);
  const { target, id } = await readRecord(deps, steps, name);
  const digest = `${reference.repository}@${reference.digest ?? target.digest}`;
  const others = [id, digest].filter((other) => other !== name);
  // Unpacking must end before the records are created: if it failed in parallel, containerd could still create a record
  // after its call was cancelled and undone.
  await unpackFetched(deps, steps, imageOf(deps, id, name), [snapshotter, ...lacking]);
  await Promise.all(others.map((other) => nameImage(deps, steps, { name: other, target, like: name })));
  const image = imageOf(deps, id, name);
  releaseBesideAnswer(deps, lease, id);
  const took = { durationMs: Math.round(performance.now() - startedMs), sizeBytes: image.sizeBytes.toString() };
  logOf(deps.log).info({ image: name, id, snapshotter, ...took }, 'image pulled');
  return image;
}

function imageOf(deps: Pick<ImageDeps, 'images'>, id: string, name: string): LocalImage {
  const image = deps.images.get(id);
  if (image) return image;
  throw new CriError('ABORTED', `image "${name}" was removed while it was pulled`);
}

/** Unpacks the image for the snapshotters for which containerd has only fetched it; does nothing for the others. */
async function unpackFetched(
  deps: Pick<ImageDeps, 'unpacking'>,
  steps: Steps,
  image: LocalImage,
  snapshotters: readonly string[],
): Promise<void> {
  for (const each of new Set(snapshotters)) await deps.unpacking.step(steps, image, each);
}

interface Fetching {
  readonly name: string;
  readonly reference: ImageReference;
  /** undefined: containerd fetches all layers and unpacks none of them. */
  readonly snapshotter: string | undefined;
  readonly credentials: Credentials | undefined;
  readonly lease: string;
}

/** Fetches and unpacks with the transfer service, which creates the image record `name`. */
async function fetchImage(
  deps: Pick<ImageDeps, 'config' | 'containerd' | 'log'>,
  steps: Steps,
  fetching: Fetching,
  undo: () => Promise<void>,
): Promise<void> {
  const timeoutMs = durationMs(deps.config.images.image_pull_progress_timeout);
  const watch = watchPull({ reference: fetching.name, timeoutMs, log: logOf(deps.log) });
  await steps.step('fetch', (signal) => transfer(deps, fetching, watch, signal), undo, {
    timeoutMs: LIMIT_MS,
    waitingOn: watch.waitingOn,
  });
}

/** Returns the target of the record and its content, which is read only if no cached record has the same target. */
async function readRecord(
  deps: Pick<ImageDeps, 'containerd' | 'images'>,
  steps: Steps,
  name: string,
): Promise<Pick<ImageContent, 'id' | 'chainId'> & { target: Descriptor }> {
  const entry = await steps.step('read record', async (signal) => {
    const { target, labels } = await deps.containerd.images.get(name, { signal });
    // The cache may have the record already, from before the pull or from containerd's events.
    const known = deps.images.entry(name);
    if (known?.record.target.digest === target.digest && hasLabels(known.record.labels, labels)) return known;
    await deps.images.refresh(name);
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
): Promise<void> {
  const { registry } = deps.config.images;
  const { hostDir, hosts } = await registryHosts(registry.config_path, fetching.reference.domain);
  const { credentials } = fetching;
  const request = {
    reference: fetching.name,
    credentials: credentials && ((host: string) => credentials(host, hosts)),
    hostDir,
    headers: Object.fromEntries(Object.entries(registry.headers).map(([key, values]) => [key, values.join(', ')])),
    labels: imageLabels(deps.config.images, fetching.name),
    onProgress: watch.onProgress,
  };
  const stalled = watch.begin();
  const pullFor = (snapshotter: string | undefined): Promise<void> =>
    withAnySignal([signal, stalled], (ended) =>
      deps.containerd.transfer.pull({ ...request, snapshotter }, { signal: ended, lease: fetching.lease }),
    );
  try {
    await pullFor(fetching.snapshotter).catch((thrown: unknown) => {
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

/** Creates another record for the image, as containerd's CRI plugin does: repository and digest, or the bare id. */
async function nameImage(
  deps: Pick<ImageDeps, 'config' | 'containerd' | 'images'>,
  steps: Steps,
  { name, target, like }: { name: string; target: Descriptor; like: string },
): Promise<void> {
  const { images } = deps.containerd;
  const record = { name, target, labels: imageLabels(deps.config.images, like) };
  const known = deps.images.entry(name)?.record;
  if (known && known.target.digest === target.digest && hasLabels(known.labels, record.labels)) return;
  const undo = await restorer(deps, steps, name);
  await steps.step(`record ${name}`, (signal) => putRecord(images, record, { signal }), undo);
  await deps.images.refresh(name);
}

/** Returns an undo that restores the record `name`, and the cache, to the present state. */
async function restorer(
  deps: Pick<ImageDeps, 'containerd' | 'images'>,
  steps: Steps,
  name: string,
): Promise<() => Promise<void>> {
  const { images } = deps.containerd;
  const before = await steps.step(`look up ${name}`, (signal) => findRecord(images, name, { signal }));
  return async () => {
    await restoreRecord(images, name, before);
    await deps.images.refresh(name);
  };
}
