import {
  ContainerStats,
  PodSandboxMetrics,
  PodSandboxStats,
  type ContainerEventResponse,
  type GetEventsRequest,
  type RuntimeServiceDefinition,
} from '../../generated/runtime/v1/api.js';
import { listContainers } from '../containers/list-containers.js';
import type { ContainerEvents } from '../events/container-events.js';
import { listPodSandbox } from '../pods/list-pod-sandbox.js';
import { containerStats, listContainerStats } from '../stats/container-stats.js';
import type { StatsDeps } from '../stats/stats-deps.js';
import { listMetricDescriptors } from '../stats/metric-descriptors.js';
import { listPodSandboxMetrics } from '../stats/pod-sandbox-metrics.js';
import { listPodSandboxStats, podSandboxStats } from '../stats/pod-sandbox-stats.js';
import type { Caller } from '../operation/operation.js';
import { containerField, fieldOf, podField } from './list-codec.js';
import type { Handlers } from './service.js';
import { inMessages } from './stream-list.js';

export interface InformationDeps {
  readonly stats: StatsDeps;
  readonly events: ContainerEvents;
}

/** The handlers of the RPCs for statistics, metrics, events and streamed lists. */
export const information = ({ stats, events }: InformationDeps) =>
  ({
    containerStats: containerStats(stats),
    listContainerStats: async (request) => ({ stats: await listContainerStats(stats)(request) }),
    podSandboxStats: podSandboxStats(stats),
    listPodSandboxStats: async (request) => ({ stats: await listPodSandboxStats(stats)(request) }),
    listMetricDescriptors,
    listPodSandboxMetrics: async () => ({ pod_metrics: await listPodSandboxMetrics(stats) }),
    streamPodSandboxes: (request) => inMessages(listPodSandbox(stats)(request), podField),
    streamContainers: (request) => inMessages(listContainers(stats)(request), containerField),
    streamContainerStats: (request) => inMessages(listContainerStats(stats)(request), CONTAINER_STATS),
    streamPodSandboxStats: (request) => inMessages(listPodSandboxStats(stats)(request), POD_STATS),
    streamPodSandboxMetrics: () => inMessages(listPodSandboxMetrics(stats), POD_METRICS),
    getContainerEvents: (_: GetEventsRequest, { signal }: Caller): AsyncIterable<ContainerEventResponse> =>
      events.subscribe(signal),
  }) satisfies Handlers<typeof RuntimeServiceDefinition>;

const CONTAINER_STATS = fieldOf((one: ContainerStats) => ContainerStats.encode(one).finish());
const POD_STATS = fieldOf((one: PodSandboxStats) => PodSandboxStats.encode(one).finish());
const POD_METRICS = fieldOf((one: PodSandboxMetrics) => PodSandboxMetrics.encode(one).finish());
