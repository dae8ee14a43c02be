import type {
  Container as CriContainer,
  ContainerFilter,
  ListContainersRequest,
} from '../../generated/runtime/v1/api.js';
import { containerState } from '../state/cri-view.js';
import { hasLabels } from '../state/labels.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';

/**
 * Returns the containers that match the filter, from memory (CRI ListContainers). Id, pod, state and labels are ANDed.
 */
export const listContainers =
  (deps: { readonly state: State }) =>
  (request: Pick<ListContainersRequest, 'filter'>): readonly Container[] => {
    const { filter } = request;
    const among =
      filter?.pod_sandbox_id.length === 64
        ? deps.state.containersOf(filter.pod_sandbox_id)
        : deps.state.containers.list();
    return among.filter((container) => isWanted(container, filter));
  };

export const toCriContainer = (container: Container): CriContainer => ({
  id: container.id,
  pod_sandbox_id: container.podId,
  metadata: container.config.metadata,
  image: container.config.image,
  image_ref: container.imageId,
  image_id: container.imageId,
  state: containerState(container),
  created_at: container.createdAtNs,
  labels: container.config.labels,
  annotations: container.config.annotations,
});

const isWanted = (container: Container, filter: ContainerFilter | undefined): boolean =>
  !filter ||
  ((filter.id === '' || container.id.startsWith(filter.id)) &&
    (filter.pod_sandbox_id === '' || container.podId.startsWith(filter.pod_sandbox_id)) &&
    (!filter.state || containerState(container) === filter.state.state) &&
    hasLabels(container.config.labels, filter.label_selector));
