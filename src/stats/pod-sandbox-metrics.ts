import { statfs } from 'node:fs/promises';
import type { ContainerMetrics, Metric, PodSandboxMetrics } from '../../generated/runtime/v1/api.js';
import { logOf } from '../base/log.js';
import { lookAt } from '../host/files/foreign-paths.js';
import { openFiles, openFilesLimit } from '../host/process/open-files.js';
import { nowNs } from '../host/syscall/clock.js';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import type { Container, Pod } from '../state/records.js';
import { isRunning } from '../state/require.js';
import { adder, containerMetrics, type MetricInput } from './container-metrics.js';
import { eachAlone } from './in-batches.js';
import { podInterfaces } from './network-usage.js';
import type { StatsDeps } from './stats-deps.js';
import { containerUsage, isOnHost } from './usage.js';

/** CRI ListPodSandboxMetrics for every ready pod. A container that cannot be read is logged and left out. */
export const listPodSandboxMetrics = async (deps: StatsDeps): Promise<PodSandboxMetrics[]> => {
  const pods = deps.state.pods.list().filter(({ state }) => state.phase === 'ready');
  const running = pods.flatMap((pod) => runningOf(deps, pod));
  await deps.layers.want(running.map(({ id, snapshotter }) => ({ id, snapshotter, phase: 'running' as const })));
  const filesystemOf = filesystems(deps);
  return eachAlone(
    pods,
    async (pod) => ({
      pod_sandbox_id: pod.id,
      metrics: networkMetrics(deps, pod),
      container_metrics: await eachAlone(
        runningOf(deps, pod),
        (container) => metricsOf(deps, pod, container, filesystemOf),
        ({ id }, error) => logOf(deps.log).warn({ container: id, err: error.message }, 'container without metrics'),
      ),
    }),
    ({ id }, error) => logOf(deps.log).warn({ pod: id, err: error.message }, 'pod without metrics'),
  );
};

const runningOf = ({ state }: Pick<StatsDeps, 'state'>, pod: Pod): Container[] =>
  state.containersOf(pod.id).filter(isRunning);

async function metricsOf(
  deps: Pick<StatsDeps, 'cgroups' | 'containerd' | 'layers'>,
  pod: Pod,
  container: Container,
  filesystemOf: (snapshotter: string) => Promise<MetricInput['filesystem']>,
): Promise<ContainerMetrics> {
  const [usage, filesystem] = await Promise.all([
    containerUsage(deps, container, pod, true),
    filesystemOf(container.snapshotter),
  ]);
  const metrics = containerMetrics({
    labels: labelsOf(pod, container.config.metadata?.name ?? '', container.id, imageOf(container)),
    atNs: nowNs(),
    container,
    usage,
    processes: processesOf(deps, pod, container),
    layer: deps.layers.get(container.id),
    filesystem,
  });
  return { container_id: container.id, metrics };
}

/** Metrics of every interface of a pod. They belong to the pod, not to a container. */
function networkMetrics(deps: Pick<StatsDeps, 'state'>, pod: Pod): Metric[] {
  const metrics: Metric[] = [];
  const add = adder(metrics, labelsOf(pod, '', pod.id, ''), nowNs());
  for (const one of podInterfaces(deps, pod) ?? []) {
    add('container_network_receive_bytes_total', one.rxBytes, one.name);
    add('container_network_receive_packets_total', one.rxPackets, one.name);
    add('container_network_receive_packets_dropped_total', one.rxDropped, one.name);
    add('container_network_receive_errors_total', one.rxErrors, one.name);
    add('container_network_transmit_bytes_total', one.txBytes, one.name);
    add('container_network_transmit_packets_total', one.txPackets, one.name);
    add('container_network_transmit_packets_dropped_total', one.txDropped, one.name);
    add('container_network_transmit_errors_total', one.txErrors, one.name);
  }
  return metrics;
}

const labelsOf = (pod: Pod, container: string, id: string, image: string): string[] => [
  pod.config.metadata?.name ?? '',
  pod.config.metadata?.namespace ?? '',
  container,
  id,
  image,
];

const imageOf = ({ config, imageId }: Container): string =>
  config.image?.user_specified_image || config.image?.image || imageId;

function processesOf(
  deps: Pick<StatsDeps, 'cgroups'>,
  pod: Pod,
  { cgroupsPath, state }: Container,
): MetricInput['processes'] {
  const directory = cgroupDirectory(cgroupsPath);
  const pids = isOnHost(pod) && directory !== '' ? deps.cgroups.pids(directory) : undefined;
  if (!pids || state.phase !== 'running') return undefined;
  return { count: pids.length, ...openFiles(pids), filesLimit: openFilesLimit(state.pid) };
}

/** Returns a function that finds the filesystem of a snapshotter's layers. It calls statfs once per snapshotter. */
function filesystems({
  mountpoint,
}: Pick<StatsDeps, 'mountpoint'>): (snapshotter: string) => Promise<MetricInput['filesystem']> {
  const known = new Map<string, Promise<MetricInput['filesystem']>>();
  const look = async (snapshotter: string): Promise<MetricInput['filesystem']> => {
    const device = await mountpoint(snapshotter);
    const { blocks, bsize, files, ffree } = await lookAt('file system', device, () => statfs(device, { bigint: true }));
    return { device, bytes: blocks * bsize, inodes: files, inodesFree: ffree };
  };
  return (snapshotter) => {
    const found = known.get(snapshotter) ?? look(snapshotter);
    known.set(snapshotter, found);
    return found;
  };
}
