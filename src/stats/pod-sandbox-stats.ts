import type {
  ContainerStats,
  PodSandboxStats,
  PodSandboxStatsFilter,
  PodSandboxStatsRequest,
  PodSandboxStatsResponse,
} from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { CgroupUsage } from '../base/cgroup-usage.js';
import { logOf } from '../base/log.js';
import { nowNs } from '../host/syscall/clock.js';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import { hasLabels } from '../state/labels.js';
import type { Pod } from '../state/records.js';
import { isReady, isRunning } from '../state/require.js';
import { statsOfAll } from './container-stats.js';
import { criUsage } from './cri-usage.js';
import type { StatsDeps } from './stats-deps.js';
import { eachAlone } from './in-batches.js';
import { networkUsage, podInterfaces } from './network-usage.js';
import { sumOfUsages } from './sum-usage.js';
import { containerUsage, isOnHost, podCgroup } from './usage.js';

/** CRI PodSandboxStats. NOT_FOUND for an unknown pod; UNAVAILABLE if it is not ready or its usage cannot be read. */
export const podSandboxStats =
  (deps: StatsDeps) =>
  async (request: PodSandboxStatsRequest): Promise<PodSandboxStatsResponse> => {
    const pod = deps.state.pods.get(request.pod_sandbox_id, 'pod_sandbox_id');
    if (!isReady(pod)) throw new CriError('UNAVAILABLE', `pod sandbox "${pod.id}" is not ready`);
    return { stats: await statsOf(deps, pod, await statsOfAll(deps, deps.state.containersOf(pod.id))) };
  };

/** CRI ListPodSandboxStats for every ready pod. A pod whose usage cannot be read is logged and left out. */
export const listPodSandboxStats =
  (deps: StatsDeps) =>
  async (request: { readonly filter?: PodSandboxStatsFilter | undefined }): Promise<PodSandboxStats[]> => {
    const pods = deps.state.pods.list().filter((pod) => isReady(pod) && isWanted(pod, request.filter));
    const containers = await containersByPod(deps, pods);
    return eachAlone(
      pods,
      (pod) => statsOf(deps, pod, containers.get(pod.id) ?? []),
      ({ id }, error) => logOf(deps.log).warn({ pod: id, err: error.message }, 'pod left out of the stats'),
    );
  };

/** Reads all pods' containers in one pass, so that it waits only once for layers that were never measured. */
async function containersByPod(deps: StatsDeps, pods: readonly Pod[]): Promise<Map<string, ContainerStats[]>> {
  const containers = pods.flatMap(({ id }) => deps.state.containersOf(id));
  const podOf = new Map(containers.map(({ id, podId }) => [id, podId]));
  const byPod = new Map<string, ContainerStats[]>();
  for (const stats of await statsOfAll(deps, containers)) {
    const podId = podOf.get(stats.attributes?.id ?? '') ?? '';
    const others = byPod.get(podId);
    if (others) others.push(stats);
    else byPod.set(podId, [stats]);
  }
  return byPod;
}

async function statsOf(
  deps: Pick<StatsDeps, 'cgroups' | 'containerd' | 'log' | 'rates' | 'state'>,
  pod: Pod,
  containers: ContainerStats[],
): Promise<PodSandboxStats> {
  const usage = await podUsage(deps, pod);
  const atNs = nowNs();
  if (usage.cpu) deps.rates.observe(pod.id, usage.cpu.usageNs);
  const nanoCores =
    usage.cpu && deps.rates.nanoCores(pod.id, { usageNs: usage.cpu.usageNs, atNs, startedAtNs: pod.createdAtNs });
  const interfaces = podInterfaces(deps, pod);
  const processes = await processCount(deps, pod);
  const { config, id } = pod;
  const { cpu, memory, io } = criUsage(usage, atNs, nanoCores);
  return {
    attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
    linux: {
      cpu,
      memory,
      network: interfaces && networkUsage(interfaces, atNs),
      process: { timestamp: atNs, process_count: { value: BigInt(processes) } },
      containers,
      io,
    },
    windows: undefined,
  };
}

/** Returns the usage of the pod's own cgroup, or without one the sum of its sandbox's and its containers' usage. */
async function podUsage(deps: Pick<StatsDeps, 'cgroups' | 'containerd' | 'state'>, pod: Pod): Promise<CgroupUsage> {
  const own = isOnHost(pod) ? podCgroup(pod) : undefined;
  const usage = own === undefined ? undefined : deps.cgroups.usage(own);
  if (usage) return usage;
  const parts = await eachAlone(
    membersOf(deps, pod),
    (member) => containerUsage(deps, member, pod),
    () => undefined,
  );
  if (parts.length === 0) throw new CriError('UNAVAILABLE', `pod sandbox "${pod.id}" has no cgroup to be read`);
  return sumOfUsages(parts);
}

/** The sandbox's own task and every running container. */
const membersOf = (
  deps: Pick<StatsDeps, 'state'>,
  pod: Pod,
): { readonly id: string; readonly cgroupsPath: string }[] => [
  { id: pod.id, cgroupsPath: '' },
  ...deps.state.containersOf(pod.id).filter(isRunning),
];

/** Counts the processes of running containers, from their cgroup or else their runtime, without the pause process. */
async function processCount(
  deps: Pick<StatsDeps, 'cgroups' | 'containerd' | 'log' | 'state'>,
  pod: Pod,
): Promise<number> {
  const running = deps.state.containersOf(pod.id).filter(isRunning);
  const counts = await eachAlone(
    running,
    async ({ id, cgroupsPath }) => {
      const directory = cgroupDirectory(cgroupsPath);
      const pids = isOnHost(pod) && directory !== '' ? deps.cgroups.pids(directory) : undefined;
      return (pids ?? (await deps.containerd.tasks.pids(id, { timeoutMs: PIDS_TIMEOUT_MS }))).length;
    },
    ({ id }, error) => {
      if (error.code !== 'NOT_FOUND') logOf(deps.log).warn({ container: id, err: error.message }, 'no process count');
    },
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

const PIDS_TIMEOUT_MS = 5_000;

function isWanted(pod: Pod, filter: PodSandboxStatsFilter | undefined): boolean {
  const { id = '', label_selector: labels = {} } = filter ?? {};
  return pod.id.startsWith(id) && hasLabels(pod.config.labels, labels);
}
