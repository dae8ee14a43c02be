import { ContainerState, ImageSpec, type ContainerStatus } from '../../generated/runtime/v1/api.js';
import { criSignal } from '../spec/stop-signal.js';
import type { ImageCache } from './image-cache.js';
import type { Container } from './records.js';

/** CRI messages made from records, for more than one module. */

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
 * Returns the CRI ContainerStatus: `image` is the image's first tag, `image_ref` its first repository digest,
 * `image_id` the digest of its config. When the image has been removed, `image` is the one of the container's config
 * and `image_ref` the image id.
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
 * Returns the statuses of a pod's containers, the newest first. A kubelet with EventedPLEG takes the first container of
 * a name as the current one; if an older one comes first, it creates the newest again.
 */
export const containerStatusesOf = (
  containers: readonly Container[],
  images: Pick<ImageCache, 'get'>,
): ContainerStatus[] =>
  containers
    .toReversed()
    .sort((one, other) => Number(other.createdAtNs - one.createdAtNs))
    .map((container) => containerStatusOf(container, images));
