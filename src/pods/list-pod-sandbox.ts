import type { ListPodSandboxRequest, PodSandbox, PodSandboxFilter } from '../../generated/runtime/v1/api.js';
import type { Pod } from '../state/records.js';
import type { State } from '../state/state.js';
import { hasLabels } from '../state/labels.js';
import { podState } from './pod-sandbox-status.js';

/**
 * Returns every pod that matches the filter, from memory (CRI ListPodSandbox). Id, state and labels are ANDed. A pod
 * that a start is undoing is not listed.
 */
export const listPodSandbox =
  (deps: { readonly state: State }) =>
  (request: Pick<ListPodSandboxRequest, 'filter'>): readonly Pod[] =>
    deps.state.pods.list().filter((pod) => !pod.undoing && isWanted(pod, request.filter));

export const toPodSandbox = (pod: Pod): PodSandbox => ({
  id: pod.id,
  metadata: pod.config.metadata,
  state: podState(pod),
  created_at: pod.createdAtNs,
  labels: pod.config.labels,
  annotations: pod.config.annotations,
  runtime_handler: pod.runtimeHandler,
});

const isWanted = (pod: Pod, filter: PodSandboxFilter | undefined): boolean =>
  !filter ||
  ((filter.id === '' || pod.id.startsWith(filter.id)) &&
    (!filter.state || podState(pod) === filter.state.state) &&
    hasLabels(pod.config.labels, filter.label_selector));
