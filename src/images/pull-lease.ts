import { randomUUID } from 'node:crypto';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { wallMs } from '../base/time.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Operations } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';

const PREFIX = 'crid-pull-';
const RELEASE_TIMEOUT_MS = 60_000;
/** A removal may be ahead of it. */
const RELEASE_LIMIT_MS = 10 * 60_000;

interface LeaseDeps {
  readonly containerd: Pick<Containerd, 'leases'>;
  readonly log: Logger;
  readonly operations: Operations;
}

/**
 * A lease for what a pull fetches: until its records are complete, a removal of the image at the same time must not
 * take its content away. containerd drops it after `limitMs` if nobody else does.
 */
export async function leasePull(
  { leases }: Pick<Containerd, 'leases'>,
  steps: Steps,
  limitMs: number,
): Promise<string> {
  const id = `${PREFIX}${randomUUID()}`;
  const labels = { 'containerd.io/gc.expire': new Date(wallMs() + limitMs).toISOString() };
  await steps.step(
    'lease content',
    (signal) => leases.create(id, labels, { signal }),
    () => leases.delete(id),
  );
  return id;
}

/**
 * Releases the lease beside the answer, as an operation on the image: its removal waits for it, or what the lease still
 * holds would outlive the removal.
 */
export function releaseBesideAnswer(deps: LeaseDeps, lease: string, image: string): void {
  const released = deps.operations.run({
    kind: 'release pull',
    subject: image,
    key: `image:${image}`,
    fingerprint: lease,
    caller: {},
    limitMs: RELEASE_LIMIT_MS,
    work: (steps) =>
      steps.step('release content', () => releasePull(deps, lease), undefined, { timeoutMs: RELEASE_TIMEOUT_MS }),
  });
  // The operation has logged it; the lease goes when it expires, or at the next start.
  released.catch(() => undefined);
}

/** The image is there by now: a lease that stays until it expires is no reason to fail. */
export async function releasePull(deps: Omit<LeaseDeps, 'operations'>, id: string): Promise<void> {
  await deps.containerd.leases.delete(id).catch((thrown: unknown) => {
    logOf(deps.log).warn(
      { lease: id, err: CriError.from(thrown).message },
      'the lease of a pull stays until it expires',
    );
  });
}

export const isPullLease = (id: string): boolean => id.startsWith(PREFIX);

/** Releases what pulls of a crid that was killed have left: `ids` were there before this crid has served a call. */
export async function releasePullLeases(deps: Omit<LeaseDeps, 'operations'>, ids: readonly string[]): Promise<void> {
  for (const id of ids) await releasePull(deps, id);
}
