import { ContainerState, ImageSpec, type ContainerStatus } from '../../generated/runtime/v1/api.js';
import { criSignal } from '../spec/stop-signal.js';
import type { ImageCache } from './images.js';
import type { Container } from './records.js';

/** How records show in CRI messages, where more than one room needs it. */

export const hasLabels = (
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean => Object.entries(selector).every(([key, value]) => labels[key] === value);

export function containerState(container: Container): ContainerState {
  switch (container.state.phase) {
    case 'created':
      return ContainerState.CONTAINER_CREATED;
    case 'running':
      return ContainerState.CONTAINER_RUNNING;
    case 'exited':
      return ContainerState.CONTAINER_EXITED;
  }
}

/**
 * The CRI status of a container: `image` by its first tag, `image_ref` by its first repository digest, `image_id` by
 * the digest of its config; where the image has gone, by what the container was created with.
 */
export function containerStatusOf(container: Container, images: Pick<ImageCache, 'get'>): ContainerStatus {
  const { state, config } = container;
  const image = images.get(container.imageId);
  const tag = image?.repoTags[0];
  return {
    id: container.id,
    metadata: config.metadata,
    state: containerState(container),
    created_at: container.createdAtNs,
    started_at: state.phase === 'created' ? 0n : state.startedAtNs,
    finished_at: state.phase === 'exited' ? state.finishedAtNs : 0n,
    exit_code: state.phase === 'exited' ? state.exitCode : 0,
    image: tag === undefined ? config.image : ImageSpec.fromPartial({ image: tag }),
    image_ref: image?.repoDigests[0] ?? container.imageId,
    image_id: container.imageId,
    reason: state.phase === 'exited' ? state.reason : '',
    message: state.phase === 'exited' ? state.message : '',
    labels: config.labels,
    annotations: config.annotations,
    mounts: config.mounts,
    log_path: container.logPath,
    resources: container.resources,
    user: {
      linux: {
        uid: BigInt(container.user.uid),
        gid: BigInt(container.user.gid),
        supplemental_groups: container.user.additionalGids.map(BigInt),
      },
    },
    stop_signal: criSignal(container.stopSignal),
  };
}

/**
 * The statuses of a pod's containers, the newest first. A kubelet that follows events (EventedPLEG) takes the first of a
 * name for the one that counts; with an older one there it makes the newest once more.
 */
export const containerStatusesOf = (
  containers: readonly Container[],
  images: Pick<ImageCache, 'get'>,
): ContainerStatus[] =>
  containers
    .toReversed()
    .sort((one, other) => Number(other.createdAtNs - one.createdAtNs))
    .map((container) => containerStatusOf(container, images));
