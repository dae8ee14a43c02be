import type { Any, ContainerRecord } from '../containerd/containerd.js';
import { containerLabels } from '../spec/container-labels.js';
import { KIND_LABEL } from './labels.js';
import type { Container } from './records.js';
import { toStoredStatus } from './status-conversion.js';
import { CONTAINER_METADATA_EXTENSION, STATUS_EXTENSION, encodeContainerMetadata, encodeStatus } from './stored.js';

/** Returns containerd's record of the container, in the form that containerd's CRI plugin reads. */
export const containerRecord = (
  container: Container,
  runtime: ContainerRecord['runtime'],
  imageName: string,
  spec: Any,
): ContainerRecord => ({
  id: container.id,
  labels: { ...containerLabels(container.config), [KIND_LABEL]: 'container' },
  image: imageName,
  runtime,
  spec,
  snapshotter: container.snapshotter,
  snapshotKey: container.id,
  extensions: {
    [CONTAINER_METADATA_EXTENSION]: encodeContainerMetadata({
      id: container.id,
      name: container.name,
      sandboxId: container.podId,
      config: container.config,
      imageRef: container.imageId,
      logPath: container.logPath,
      stopSignal: container.stopSignal,
      processLabel: container.processLabel,
    }),
    [STATUS_EXTENSION]: encodeStatus(toStoredStatus(container)),
  },
  sandbox: container.podId,
});
