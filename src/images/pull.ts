import type { AuthConfig } from '../../generated/runtime/v1/api.js';
import { CriError, doing } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { durationMs } from '../config/duration.js';
import type { Descriptor } from '../containerd/containerd.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { ImageContent } from '../state/image-content.js';
import { findRecord, hasLabels, imageLabels, putRecord, restoreRecord } from '../state/image-records.js';
import type { ImageReference } from '../state/image-reference.js';
import type { LocalImage } from '../state/images.js';
import { credentialsFor, fingerprintOf, type Credentials } from './auth.js';
import type { ImageDeps } from './deps.js';
import { leasePull, releaseBesideAnswer } from './pull-lease.js';
import { watchPull, type PullWatch } from './pull-watch.js';
import { registryHosts } from './registry-hosts.js';

/** A pull that gets on may take its time; one that does not is ended by the progress timeout. */
const LIMIT_MS = 24 * 60 * 60_000;
/** What containerd takes an empty `image_pull_progress_timeout` for. */
const DEFAULT_PROGRESS_TIMEOUT = '5m0s';

export interface Pull {
  readonly reference: ImageReference;
  readonly snapshotter: string;
  readonly auth: AuthConfig | undefined;
}

/**
 * The pull as an operation on the reference: whoever asks for the same image, for the same snapshotter and with the same
 * credentials, waits for the same pull. A failed one leaves the image records as they were; what it fetched is
 * containerd's to collect, or to go on from when it is tried again soon.
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
  // containerd passes over the blobs of layers that the snapshotter has: for another one, all must be fetched.
  const lacking = deps.unpacking.missingFor(deps.images.entry(name)?.content.id ?? '');
  const unpackFor = lacking.length === 0 ? snapshotter : undefined;
  await fetchImage(deps, steps, { name, reference, snapshotter: unpackFor, credentials, lease }, undo);
  const { target, id } = await readRecord(deps, steps, name);
  const digest = `${reference.repository}@${reference.digest ?? target.digest}`;
  const others = [id, digest].filter((other) => other !== name);
  // Not beside the records: containerd may still make one when its call is cancelled, after the undo.
  await unpackFetched(deps, steps, imageOf(deps, id, name), [snapshotter, ...lacking]);
  await Promise.all(others.map((other) => nameImage(deps, steps, { name: other, target, like: name })));
  const image = imageOf(deps, id, name);
  releaseBesideAnswer(deps, lease, id);
  const took = { durationMs: Math.round(performance.now() - startedMs), sizeBytes: image.sizeBytes.toString() };
  logOf(deps.log).info({ image: name, id, snapshotter, ...took }, 'image pulled');
  return image;
}

function imageOf(deps: ImageDeps, id: string, name: string): LocalImage {
  const image = deps.images.get(id);
  if (image) return image;
  throw new CriError('ABORTED', `image "${name}" was removed while it was pulled`);
}

/** There is nothing left to unpack unless containerd only fetches for one of the snapshotters. */
async function unpackFetched(
  deps: ImageDeps,
  steps: Steps,
  image: LocalImage,
  snapshotters: readonly string[],
): Promise<void> {
  for (const each of new Set(snapshotters)) await deps.unpacking.step(steps, image, each);
}

interface Fetching {
  readonly name: string;
  readonly reference: ImageReference;
  /** undefined: containerd fetches all layers and unpacks none. */
  readonly snapshotter: string | undefined;
  readonly credentials: Credentials | undefined;
  readonly lease: string;
}

/** Fetches and unpacks through the transfer service, which makes the record of that name. */
async function fetchImage(deps: ImageDeps, steps: Steps, fetching: Fetching, undo: () => Promise<void>): Promise<void> {
  const timeoutMs = durationMs(deps.config.images.image_pull_progress_timeout || DEFAULT_PROGRESS_TIMEOUT);
  const watch = watchPull({ reference: fetching.name, timeoutMs, log: logOf(deps.log) });
  await steps.step('fetch', (signal) => transfer(deps, fetching, watch, signal), undo, {
    timeoutMs: LIMIT_MS,
    waitingOn: watch.waitingOn,
  });
}

/** What the record points at now; its content is read only if no record of the cache has the same target. */
async function readRecord(
  deps: ImageDeps,
  steps: Steps,
  name: string,
): Promise<Pick<ImageContent, 'id' | 'chainId'> & { target: Descriptor }> {
  const entry = await steps.step('read record', async (signal) => {
    const { target, labels } = await deps.containerd.images.get(name, { signal });
    // The cache may have it already, from before the pull or from its events.
    const known = deps.images.entry(name);
    if (known?.record.target.digest === target.digest && hasLabels(known.record.labels, labels)) return known;
    await deps.images.refresh(name);
    return deps.images.entry(name);
  });
  if (entry) return { ...entry.content, target: entry.record.target };
  // The cache leaves out what cannot be read; here it is told why.
  return steps.step('read image', async (signal) => {
    const { target } = await deps.containerd.images.get(name, { signal });
    const content = await doing(`image "${name}"`, () => deps.images.read(target));
    return { ...content, target };
  });
}

async function transfer(deps: ImageDeps, fetching: Fetching, watch: PullWatch, signal: AbortSignal): Promise<void> {
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
  const options = { signal: AbortSignal.any([signal, watch.begin()]), lease: fetching.lease };
  const pullFor = (snapshotter: string | undefined): Promise<void> =>
    deps.containerd.transfer.pull({ ...request, snapshotter }, options);
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

/** containerd's answer, before it fetches a layer, when `unpack_config` has none of the wanted snapshotters. */
const NOT_UNPACKING = /no unpack platforms defined/;

/** One more record for the image, as containerd's CRI plugin makes them: by repository and digest, and by the bare id. */
async function nameImage(
  deps: ImageDeps,
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

/** What makes the record of that name, and the cache with it, what it is now. */
async function restorer(deps: ImageDeps, steps: Steps, name: string): Promise<() => Promise<void>> {
  const { images } = deps.containerd;
  const before = await steps.step(`look up ${name}`, (signal) => findRecord(images, name, { signal }));
  return async () => {
    await restoreRecord(images, name, before);
    await deps.images.refresh(name);
  };
}
