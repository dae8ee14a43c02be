import { CriError, doing, isCode } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Operations } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { LocalImage } from '../state/image-cache.js';
import { readLayers, type ImageLayer } from '../state/image-layers.js';
import { leasePull, releaseBesideAnswer } from './pull-lease.js';
import { snapshotLabels, type LayersOf } from './snapshot-labels.js';
import { unpackLayer } from './unpack-layer.js';
import { isUnpacked } from './unpacked.js';

/** The limit for one image: unpacking continues when its callers have given up. */
const LIMIT_MS = 30 * 60_000;

/**
 * Unpacks images from containerd's blobs, for a snapshotter that the pull did not unpack for or that has lost its
 * snapshots.
 */
export interface Unpacking {
  /**
   * Unpacks the image unless it is unpacked. Joins an equal unpacking that is running, which continues when `signal`
   * aborts. NOT_FOUND: containerd has neither the snapshot nor the blob of a layer, and the image must be pulled again.
   */
  ensure(image: LocalImage, snapshotter: string, signal: AbortSignal): Promise<void>;
  /** As `ensure`, as a step of another operation. */
  step(steps: Steps, image: LocalImage, snapshotter: string): Promise<void>;
  /**
   * Returns the snapshotters for which the image could not be unpacked because layers were missing. Such an image is
   * reported as not present: otherwise a kubelet would never pull it again.
   */
  missingFor(id: string): readonly string[];
  /** Forgets a removed image. */
  forget(id: string): void;
}

export function createUnpacking(deps: {
  readonly containerd: Containerd;
  readonly config: Config;
  readonly operations: Operations;
  readonly log: Logger;
}): Unpacking {
  const missing = new Map<string, Set<string>>();
  /** The layer in progress, such as `layer 2 of 7`, by image and snapshotter. */
  const progress = new Map<string, string>();

  const note = (id: string, snapshotter: string, isMissing: boolean): void => {
    const others = [...(missing.get(id) ?? [])].filter((other) => other !== snapshotter);
    const all = isMissing ? [...others, snapshotter] : others;
    if (all.length > 0) missing.set(id, new Set(all));
    else missing.delete(id);
  };

  const ensure = async (image: LocalImage, snapshotter: string, signal: AbortSignal): Promise<void> => {
    if (await isUnpacked(deps, image, snapshotter, { signal })) return note(image.id, snapshotter, false);
    const name = nameOf(image);
    const key = keyOf(image, snapshotter);
    await deps.operations.run({
      kind: 'unpack image',
      subject: name,
      // Shared with the removal of the image, which then runs before or after.
      key: `image:${image.id}`,
      fingerprint: snapshotter,
      caller: { signal },
      limitMs: LIMIT_MS,
      work: async (steps) => {
        try {
          await doing(`image "${name}"`, () =>
            unpack(deps, steps, image, snapshotter, (layer) => progress.set(key, layer)),
          );
          note(image.id, snapshotter, false);
        } catch (thrown) {
          if (isCode(thrown, 'NOT_FOUND')) note(image.id, snapshotter, true);
          throw thrown;
        } finally {
          progress.delete(key);
        }
      },
    });
  };

  return {
    ensure,
    step: (steps, image, snapshotter) =>
      steps.step('unpack image', (signal) => ensure(image, snapshotter, signal), undefined, {
        timeoutMs: LIMIT_MS,
        waitingOn: () => [progress.get(keyOf(image, snapshotter)), nameOf(image)].filter(Boolean).join(' of '),
      }),
    missingFor: (id) => [...(missing.get(id) ?? [])],
    forget: (id) => void missing.delete(id),
  };
}

const nameOf = ({ references, id }: LocalImage): string => references[0] ?? id;
const keyOf = ({ id }: LocalImage, snapshotter: string): string => `${snapshotter} ${id}`;

type UnpackDeps = Parameters<typeof createUnpacking>[0];

async function unpack(
  deps: UnpackDeps,
  steps: Steps,
  image: LocalImage,
  snapshotter: string,
  onLayer: (layer: string) => void,
): Promise<void> {
  const { containerd } = deps;
  const startedMs = performance.now();
  // The operation may have waited for another one on the image.
  if (await steps.step('look up snapshot', (signal) => isUnpacked(deps, image, snapshotter, { signal }))) return;
  const lease = await leasePull(containerd, steps, LIMIT_MS);
  const layers = await steps.step('read manifest', (signal) => layersOf(containerd, image, signal));
  for (const [index, layer] of layers.entries()) {
    const place = `layer ${index + 1} of ${layers.length}`;
    onLayer(place);
    const labels = snapshotLabels(layers, index, labelledImage(deps.config, image));
    await unpackLayer(containerd, steps, layer, {
      snapshotter,
      parent: layers[index - 1]?.chainId ?? '',
      labels,
      lease,
      limitMs: LIMIT_MS,
      syncFs: deps.config.images.image_pull_with_sync_fs,
      waitingOn: () => `${place} (${layer.blob.digest})`,
    });
  }
  // The label that protects the snapshots from garbage collection once the lease is deleted.
  const reference = { [`containerd.io/gc.ref.snapshot.${snapshotter}`]: image.chainId };
  await steps.step('label config', (signal) => containerd.content.label(image.id, reference, { signal }));
  releaseBesideAnswer(deps, lease, image.id);
  const took = { durationMs: Math.round(performance.now() - startedMs), layers: layers.length };
  logOf(deps.log).info({ image: nameOf(image), id: image.id, snapshotter, ...took }, 'image unpacked');
}

async function layersOf(
  { content }: Containerd,
  { target, config }: LocalImage,
  signal: AbortSignal,
): Promise<ImageLayer[]> {
  try {
    return await readLayers(content, { manifest: target, diffIds: config.rootfs?.diff_ids ?? [] }, signal);
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
    throw new CriError('NOT_FOUND', `manifest ${target} is not in containerd's content store: pull the image again`);
  }
}

const labelledImage = ({ images }: Config, image: LocalImage): LayersOf | undefined =>
  images.disable_snapshot_annotations ? undefined : { reference: nameOf(image), manifest: image.target };
