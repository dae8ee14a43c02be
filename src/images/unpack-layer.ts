import { randomBytes } from 'node:crypto';
import { CriError, isCode } from '../base/errors.js';
import { wallMs } from '../base/time.js';
import type { Containerd, Labels, SnapshotMount } from '../containerd/containerd.js';
import type { Steps } from '../operation/steps.js';
import type { ImageLayer } from '../state/image-layers.js';
import { isUnpacked } from './unpacked.js';

/** As many as containerd: the snapshot with the chain id may be deleted between `prepare` and `stat`. */
const PREPARE_TRIES = 3;

export interface LayerTarget {
  readonly snapshotter: string;
  /** The chain id of the layer below; "" for the lowest one. */
  readonly parent: string;
  readonly labels: Labels;
  readonly lease: string;
  readonly limitMs: number;
  /** Whether the unpacked files are synced to disk before the snapshot is committed. */
  readonly syncFs: boolean;
  readonly waitingOn: () => string;
}

/**
 * Creates the snapshot of one layer unless it exists: prepares a writable one, unpacks the layer into it, and commits
 * it under the chain id, as containerd's core/unpack does. NOT_FOUND: containerd does not have the layer's blob;
 * DATA_LOSS: the layer's diff id differs from the config's.
 */
export async function unpackLayer(
  containerd: Pick<Containerd, 'snapshots' | 'content' | 'diff'>,
  steps: Steps,
  { blob, diffId, chainId }: ImageLayer,
  { snapshotter, parent, labels, lease, limitMs, syncFs, waitingOn }: LayerTarget,
): Promise<void> {
  const snapshots = containerd.snapshots(snapshotter);
  const key = `extract-${wallMs()}-${randomBytes(6).toString('base64url')} ${chainId}`;
  const mounts = await steps.step(
    'prepare layer',
    (signal) =>
      unlessThere(
        () => snapshots.prepare(key, parent, labels, { signal, lease }),
        () => isUnpacked({ containerd }, { chainId }, snapshotter, { signal }),
      ),
    () => snapshots.remove(key),
    { waitingOn },
  );
  if (!mounts) return;
  if (!isStaged(mounts)) {
    await steps.step(
      'extract layer',
      async (signal) => {
        const { digest } = blob;
        await containerd.content.info(digest, { signal }).catch((thrown: unknown) => {
          throw isCode(thrown, 'NOT_FOUND') ? gone(digest, snapshotter) : thrown;
        });
        const applied = await containerd.diff.apply(
          { layer: blob, mounts, syncFs },
          { signal, lease, timeoutMs: limitMs },
        );
        if (applied === diffId) return;
        throw new CriError('DATA_LOSS', `layer ${digest} holds ${applied}, and the image's config says ${diffId}`);
      },
      undefined,
      { waitingOn, timeoutMs: limitMs },
    );
  }
  await steps.step(
    'commit layer',
    (signal) =>
      snapshots.commit(chainId, key, labels, { signal, lease }).catch((thrown: unknown) => {
        // A pull may have committed the same snapshot meanwhile.
        if (!isCode(thrown, 'ALREADY_EXISTS')) throw thrown;
        return snapshots.remove(key, { signal });
      }),
    undefined,
    { waitingOn },
  );
}

/**
 * Returns the mounts; undefined when `prepare` throws ALREADY_EXISTS because the snapshotter has the layer's snapshot.
 */
async function unlessThere(
  prepare: () => Promise<SnapshotMount[]>,
  isThere: () => Promise<boolean>,
): Promise<SnapshotMount[] | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await prepare();
    } catch (thrown) {
      if (!isCode(thrown, 'ALREADY_EXISTS')) throw thrown;
      if (await isThere()) return undefined;
      if (attempt === PREPARE_TRIES) throw thrown;
    }
  }
}

/** Whether there is nothing to unpack: a snapshotter that has the layer from elsewhere returns a read-only mount. */
const isStaged = (mounts: readonly SnapshotMount[]): boolean => mounts.at(-1)?.options.includes('ro') ?? false;

const gone = (digest: string, snapshotter: string): CriError =>
  new CriError(
    'NOT_FOUND',
    `layer ${digest} is neither in the snapshotter "${snapshotter}" nor in containerd's content store: pull the image again`,
  );
