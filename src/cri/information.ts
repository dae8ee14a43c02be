import type {
  ContainerEventResponse,
  GetEventsRequest,
  RuntimeServiceDefinition,
} from '../../generated/runtime/v1/api.js';
import { listContainers, toCriContainer } from '../containers/list-containers.js';
import type { ContainerEvents } from '../events/container-events.js';
import { listPodSandbox, toPodSandbox } from '../pods/list-pod-sandbox.js';
import { containerStats, listContainerStats } from '../stats/container-stats.js';
import type { StatsDeps } from '../stats/deps.js';
import { listMetricDescriptors } from '../stats/metric-descriptors.js';
import { listPodSandboxMetrics } from '../stats/pod-sandbox-metrics.js';
import { listPodSandboxStats, podSandboxStats } from '../stats/pod-sandbox-stats.js';
import type { Caller } from '../operation/operation.js';
import type { Handlers } from './service.js';
import { inChunks } from './stream-list.js';

export interface InformationDeps {
  readonly stats: StatsDeps;
  readonly events: ContainerEvents;
}

/** The RPCs that tell how pods and containers fare: statistics, metrics, events, and the lists in pieces. */
export const information = ({ stats, events }: InformationDeps) =>
  ({
    containerStats: containerStats(stats),
    listContainerStats: async (request) => ({ stats: await listContainerStats(stats)(request) }),
    podSandboxStats: podSandboxStats(stats),
    listPodSandboxStats: async (request) => ({ stats: await listPodSandboxStats(stats)(request) }),
    listMetricDescriptors,
    listPodSandboxMetrics: async () => ({ pod_metrics: await listPodSandboxMetrics(stats) }),
    streamPodSandboxes: (request) =>
      inChunks(listPodSandbox(stats)(request), (pods) => ({ pod_sandboxes: pods.map(toPodSandbox) })),
    streamContainers: (request) =>
      inChunks(listContainers(stats)(request), (containers) => ({ containers: containers.map(toCriContainer) })),
    streamContainerStats: (request) =>
      inChunks(listContainerStats(stats)(request), (container_stats) => ({ container_stats })),
    streamPodSandboxStats: (request) =>
      inChunks(listPodSandboxStats(stats)(request), (pod_sandbox_stats) => ({ pod_sandbox_stats })),
    streamPodSandboxMetrics: () =>
      inChunks(listPodSandboxMetrics(stats), (pod_sandbox_metrics) => ({ pod_sandbox_metrics })),
    getContainerEvents: (_: GetEventsRequest, { signal }: Caller): AsyncIterable<ContainerEventResponse> =>
      events.subscribe(signal),
  }) satisfies Handlers<typeof RuntimeServiceDefinition>;
