import type {
  ContainerStats,
  ContainerStatsFilter,
  ContainerStatsRequest,
  ContainerStatsResponse,
} from '../../generated/runtime/v1/api.js';
import { logOf } from '../base/log.js';
import { nowNs } from '../host/syscall/clock.js';
import { hasLabels } from '../state/labels.js';
import type { Container } from '../state/records.js';
import { criLayer, criUsage, type CriUsage } from './cri-usage.js';
import { eachAlone } from './in-batches.js';
import type { StatsDeps } from './stats-deps.js';
import { containerUsage } from './usage.js';
import type { Layer } from './writable-layers.js';

/** CRI ContainerStats. NOT_FOUND for an unknown container; UNAVAILABLE if a running one's usage cannot be read. */
export const containerStats =
  (deps: StatsDeps) =>
  async (request: ContainerStatsRequest): Promise<ContainerStatsResponse> => {
    const container = deps.state.containers.get(request.container_id, 'container_id');
    await deps.layers.want([layerOf(container)]);
    return { stats: await statsOf(deps, container) };
  };

/** CRI ListContainerStats. id, pod and labels are ANDed. A container with unreadable usage is logged and left out. */
export const listContainerStats =
  (deps: StatsDeps) =>
  (request: { readonly filter?: ContainerStatsFilter | undefined }): Promise<ContainerStats[]> =>
    statsOfAll(deps, wantedContainers(deps, request.filter));

export async function statsOfAll(deps: StatsDeps, containers: readonly Container[]): Promise<ContainerStats[]> {
  await deps.layers.want(containers.map(layerOf));
  return eachAlone(
    containers,
    (container) => statsOf(deps, container),
    ({ id }, error) => logOf(deps.log).warn({ container: id, err: error.message }, 'container left out of the stats'),
  );
}

async function statsOf(deps: StatsDeps, container: Container): Promise<ContainerStats> {
  const { config, id } = container;
  const layer = deps.layers.get(id);
  return {
    attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
    ...(container.state.phase === 'running' ? await runningUsage(deps, container) : NOT_RUNNING),
    writable_layer: layer && criLayer(layer, await deps.mountpoint(container.snapshotter)),
  };
}

const NOT_RUNNING: CriUsage = { cpu: undefined, memory: undefined, swap: undefined, io: undefined };

async function runningUsage(
  deps: Pick<StatsDeps, 'cgroups' | 'containerd' | 'rates' | 'state'>,
  container: Container,
): Promise<CriUsage> {
  const usage = await containerUsage(deps, container, deps.state.pods.find(container.podId, 'pod_sandbox_id'));
  const atNs = nowNs();
  const startedAtNs = container.state.phase === 'running' ? container.state.startedAtNs : undefined;
  if (usage.cpu) deps.rates.observe(container.id, usage.cpu.usageNs);
  const nanoCores = usage.cpu && deps.rates.nanoCores(container.id, { usageNs: usage.cpu.usageNs, atNs, startedAtNs });
  return criUsage(usage, atNs, nanoCores);
}

function wantedContainers(
  deps: Pick<StatsDeps, 'state'>,
  filter: ContainerStatsFilter | undefined,
): readonly Container[] {
  const { id = '', pod_sandbox_id: podId = '', label_selector: labels = {} } = filter ?? {};
  const among = podId.length === 64 ? deps.state.containersOf(podId) : deps.state.containers.list();
  return among.filter(
    (container) =>
      container.id.startsWith(id) && container.podId.startsWith(podId) && hasLabels(container.config.labels, labels),
  );
}

const layerOf = ({ id, snapshotter, state }: Container): Layer => ({ id, snapshotter, phase: state.phase });
