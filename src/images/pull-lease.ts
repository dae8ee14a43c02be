import { randomUUID } from 'node:crypto';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { wallMs } from '../base/time.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Operations } from '../operation/operation.js';
import { EXPIRE_LABEL } from '../state/labels.js';
import type { Steps } from '../operation/steps.js';

const PREFIX = 'crid-pull-';
const RELEASE_TIMEOUT_MS = 60_000;
/** Includes the time in the queue behind a removal of the image. */
const RELEASE_LIMIT_MS = 10 * 60_000;

interface ReleaseDeps {
  readonly containerd: Pick<Containerd, 'leases'>;
  readonly log: Logger;
}

interface LeaseDeps extends ReleaseDeps {
  readonly operations: Operations;
}

/**
 * Creates a lease on the content that a pull fetches, so that a concurrent removal of the image does not delete it
 * before the image records are complete. containerd deletes the lease after `limitMs` at the latest.
 */
export async function leasePull(
  { leases }: Pick<Containerd, 'leases'>,
  steps: Steps,
  limitMs: number,
): Promise<string> {
  const id = `${PREFIX}${randomUUID()}`;
  const labels = { [EXPIRE_LABEL]: new Date(wallMs() + limitMs).toISOString() };
  await steps.step(
    'lease content',
    (signal) => leases.create(id, labels, { signal }),
    () => leases.delete(id),
  );
  return id;
}

/**
 * Releases the lease without delaying the response. It is an operation on the image, so that a removal of the image
 * waits for it: otherwise content would outlive the removal until the lease ends.
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
  // The operation has logged the error. The lease is deleted when it expires, or at crid's next start.
  released.catch(() => undefined);
}

/** Logs a failure: the image is complete, and the lease expires by itself. */
export async function releasePull(deps: ReleaseDeps, id: string): Promise<void> {
  await deps.containerd.leases.delete(id).catch((thrown: unknown) => {
    logOf(deps.log).warn(
      { lease: id, err: CriError.from(thrown).message },
      'the lease of a pull stays until it expires',
    );
  });
}

export const isPullLease = (id: string): boolean => id.startsWith(PREFIX);

/** Releases leases that a killed crid left behind: `ids` existed before this crid served its first call. */
export async function releasePullLeases(deps: ReleaseDeps, ids: readonly string[]): Promise<void> {
  for (const id of ids) await releasePull(deps, id);
}
