import {
  SecurityProfileKind,
  type PullSecurityProfileRequest,
  type PullSecurityProfileResponse,
} from '../../../generated/runtime/v1/api.js';
import { withAnySignal } from '../../base/async.js';
import { CriError, isCode } from '../../base/errors.js';
import { logOf } from '../../base/log.js';
import { wallMs } from '../../base/time.js';
import { durationMs } from '../../config/duration.js';
import type { PullProgress } from '../../containerd/containerd.js';
import type { Caller } from '../../operation/operation.js';
import type { Steps } from '../../operation/steps.js';
import { findRecord, putRecord, restoreRecord } from '../../state/image-records.js';
import { tryParseReference, type ImageReference } from '../../state/image-reference.js';
import { EXPIRE_LABEL } from '../../state/labels.js';
import { credentialsFor, fingerprintOf, type Credentials } from '../auth.js';
import type { ImageDeps } from '../image-deps.js';
import { HANDLER_ANNOTATION } from '../pull-image.js';
import { leasePull, releasePull } from '../pull-lease.js';
import { registryRequest } from '../registry-request.js';
import { completeLabels, invalidProfile, MAX_ARTIFACT_BYTES, type StoredProfile } from './profile-store.js';

export type ProfileDeps = Pick<ImageDeps, 'config' | 'handlers' | 'log' | 'operations' | 'profiles' | 'watchPull'>;

/** An artifact is small; a registry that is this slow is not available. */
const LIMIT_MS = 10 * 60_000;

/**
 * Pulls a seccomp profile (CRI PullSecurityProfile, beta). A profile that is present causes no request to the registry;
 * a new reference of it is recorded. INVALID_ARGUMENT with `SecurityProfileInvalid`: the kind, the reference or the
 * artifact is not acceptable. Other errors are those of PullImage.
 */
export const pullSecurityProfile =
  (deps: ProfileDeps) =>
  async (request: PullSecurityProfileRequest, caller: Caller): Promise<PullSecurityProfileResponse> => {
    if (request.profile_kind !== SecurityProfileKind.Seccomp) {
      throw invalidProfile(`profile_kind: unsupported value ${request.profile_kind}, expected Seccomp`);
    }
    const text = request.image?.image ?? '';
    const { reference, digest } = pinnedReference(text);
    deps.handlers.get(request.image?.runtime_handler || request.sandbox_config?.annotations[HANDLER_ANNOTATION] || '');
    const credentials = credentialsFor(request.auth, deps.config.images.registry);
    return deps.operations.run({
      kind: 'pull security profile',
      subject: text,
      key: profileKey(digest),
      fingerprint: fingerprintOf(text, request.auth),
      caller,
      limitMs: LIMIT_MS,
      work: (steps) => pull(deps, steps, { text, reference, digest, credentials }),
    });
  };

/** Pulls and removals of one profile wait for each other. */
export const profileKey = (digest: string): string => `security-profile:${digest}`;

interface Wanted {
  /** The reference as the request has it. */
  readonly text: string;
  readonly reference: ImageReference;
  readonly digest: string;
  readonly credentials: Credentials | undefined;
}

function pinnedReference(text: string): Pick<Wanted, 'reference' | 'digest'> {
  const reference = tryParseReference(text);
  const quoted = JSON.stringify(text.slice(0, 200));
  if (!reference) throw invalidProfile(`image.image: ${quoted} is not a reference`);
  if (reference.digest === undefined) throw invalidProfile(`image.image: ${quoted} has no digest`);
  return { reference, digest: reference.digest };
}

async function pull(deps: ProfileDeps, steps: Steps, wanted: Wanted): Promise<PullSecurityProfileResponse> {
  const present = await steps.step('look up profile', (signal) => presentProfile(deps, wanted.digest, signal));
  if (present) {
    if (!present.references.includes(wanted.text)) await recordReference(deps, steps, wanted, present);
    return { cached: true };
  }
  await fetchProfile(deps, steps, wanted);
  logOf(deps.log).info({ profile: wanted.text }, 'security profile pulled');
  return { cached: false };
}

/** Returns the profile if containerd still has all of it. */
async function presentProfile(
  { profiles }: ProfileDeps,
  digest: string,
  signal: AbortSignal,
): Promise<StoredProfile | undefined> {
  const known = (await profiles.list(signal)).find((profile) => profile.digest === digest);
  const record = known && (await profiles.find(known.references[0] ?? '', signal));
  if (!record) return undefined;
  try {
    await profiles.read(record.target, signal);
    return known;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  }
}

/** Adds a record for another reference of a profile that is present. */
async function recordReference(
  { profiles }: ProfileDeps,
  steps: Steps,
  { text }: Wanted,
  present: StoredProfile,
): Promise<void> {
  const { images } = profiles.stores;
  const before = await steps.step('look up reference', (signal) => findRecord(images, text, { signal }));
  await steps.step(
    'record reference',
    async (signal) => {
      const { target } = await images.get(present.references[0] ?? '', { signal });
      await putRecord(images, { name: text, target, labels: completeLabels(present.sizeBytes) }, { signal });
      // A pull that was cut off has left the record with the time of its end.
      if (before) await setLabels(profiles.stores, text, completeLabels(present.sizeBytes), signal);
    },
    () => restoreRecord(images, text, before),
  );
}

/**
 * Fetches the artifact and checks it. Until then, its record has a time at which containerd drops it, so that a pull
 * which is cut off leaves nothing for good.
 */
async function fetchProfile(deps: ProfileDeps, steps: Steps, wanted: Wanted): Promise<void> {
  const { stores, read } = deps.profiles;
  const { text } = wanted;
  const lease = await leasePull(stores, steps, LIMIT_MS);
  const watch = watchFetch(deps, text);
  await steps.step(
    'fetch',
    (signal) => fetchArtifact(deps, wanted, lease, watch, signal),
    () => stores.images.delete(text, false),
    {
      timeoutMs: LIMIT_MS,
      waitingOn: watch.waitingOn,
    },
  );
  await steps.step('check profile', async (signal) => {
    const { target } = await stores.images.get(text, { signal });
    const { sizeBytes } = await read(target, signal);
    await setLabels(stores, text, completeLabels(sizeBytes), signal);
  });
  await releasePull({ containerd: stores, log: deps.log }, lease);
}

async function setLabels(
  { images }: ProfileDeps['profiles']['stores'],
  name: string,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const record = await images.get(name, { signal });
  await images.update({ ...record, labels }, ['labels'], { signal });
}

async function fetchArtifact(
  deps: ProfileDeps,
  { text, reference, credentials }: Wanted,
  lease: string,
  watch: ReturnType<typeof watchFetch>,
  signal: AbortSignal,
): Promise<void> {
  const request = await registryRequest(deps.config, reference, credentials);
  const stopped = watch.begin();
  try {
    await withAnySignal([signal, ...stopped], (ended) =>
      deps.profiles.stores.transfer.pull(
        {
          ...request,
          record: text,
          snapshotter: undefined,
          labels: { [EXPIRE_LABEL]: new Date(wallMs() + LIMIT_MS).toISOString() },
          onProgress: watch.onProgress,
        },
        { signal: ended, lease },
      ),
    );
  } catch (thrown) {
    throw watch.problem() ?? CriError.from(thrown);
  } finally {
    watch.end();
  }
}

/** Watches for a fetch without progress, and for an artifact that is too large for a profile, such as an image. */
function watchFetch({ config, log, watchPull }: ProfileDeps, text: string) {
  const timeoutMs = durationMs(config.images.image_pull_progress_timeout);
  const stall = watchPull({ reference: text, timeoutMs, log: logOf(log) });
  const tooLarge = new AbortController();
  const totals = new Map<string, bigint>();
  return {
    ...stall,
    begin: (): AbortSignal[] => [stall.begin(), tooLarge.signal],
    onProgress(progress: PullProgress): void {
      stall.onProgress(progress);
      if (progress.name === '' || tooLarge.signal.aborted) return;
      totals.set(progress.name, progress.total);
      const sum = [...totals.values()].reduce((all, total) => all + total, 0n);
      if (sum <= BigInt(MAX_ARTIFACT_BYTES) && totals.size <= MAX_BLOBS) return;
      tooLarge.abort(invalidProfile(`${text}: it is larger than ${MAX_ARTIFACT_BYTES} bytes`));
    },
    problem: (): CriError | undefined =>
      tooLarge.signal.aborted ? CriError.from(tooLarge.signal.reason) : stall.stalled(),
  };
}

/** The manifest, the config, the layer, and the names that the transfer service gives to its own steps. */
const MAX_BLOBS = 16;
