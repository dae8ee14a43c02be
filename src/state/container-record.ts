import type { Any, ContainerRecord } from '../containerd/containerd.js';
import { containerLabels } from '../spec/container-labels.js';
import { KIND_LABEL } from './labels.js';
import { isPinned } from './pod-view.js';
import type { Container, Pod } from './records.js';
import { toStoredStatus } from './status-conversion.js';
import { CONTAINER_METADATA_EXTENSION, STATUS_EXTENSION, encodeContainerMetadata, encodeStatus } from './stored.js';

/** Returns containerd's record of the container, in the form that containerd's CRI plugin reads. */
export const containerRecord = (
  container: Container,
  pod: Pick<Pod, 'sandboxer'>,
  runtime: ContainerRecord['runtime'],
  imageName: string,
  spec: Any,
  extensions: ContainerRecord['extensions'] = {},
): ContainerRecord => ({
  id: container.id,
  labels: { ...containerLabels(container.config), [KIND_LABEL]: 'container' },
  image: imageName,
  runtime,
  spec,
  snapshotter: container.snapshotter,
  snapshotKey: container.id,
  extensions: {
    ...extensions,
    [CONTAINER_METADATA_EXTENSION]: encodeContainerMetadata({
      id: container.id,
      name: container.name,
      sandboxId: container.podId,
      config: container.config,
      imageRef: container.imageId,
      imageDigest: container.imageDigest,
      imageName: container.imageName,
      logPath: container.logPath,
      stopSignal: container.stopSignal,
      processLabel: container.processLabel,
    }),
    [STATUS_EXTENSION]: encodeStatus(toStoredStatus(container)),
  },
  // Without a shim of the pod's own, containerd would not find that of a named sandbox. The containers share one by
  // the annotation io.kubernetes.cri.sandbox-id of their specs.
  sandbox: isPinned(pod) ? '' : container.podId,
});
