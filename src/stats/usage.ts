import { posix } from 'node:path';
import type { CgroupUsage } from '../base/cgroup-usage.js';
import { CriError } from '../base/errors.js';
import { decodeCgroupMetrics } from '../containerd/cgroup-metrics.js';
import { cgroupDriverOf } from '../containerd/runtime-cgroup-driver.js';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import { hasController } from '../state/pod-view.js';
import type { Container, Pod } from '../state/records.js';
import type { StatsDeps } from './stats-deps.js';

type UsageDeps = Pick<StatsDeps, 'containerd' | 'cgroups'>;

const METRICS_TIMEOUT_MS = 5_000;

/**
 * Returns the usage of a running container: from the kernel's files, or from its runtime if its processes run on
 * another kernel (a virtual machine) or it has no readable cgroup. UNAVAILABLE when neither has the usage.
 */
export async function containerUsage(
  deps: UsageDeps,
  { id, cgroupsPath: path }: Pick<Container, 'id' | 'cgroupsPath'>,
  pod: Pod | undefined,
  detail = false,
): Promise<CgroupUsage> {
  const directory = cgroupDirectory(path);
  const usage = isOnHost(pod) && directory !== '' ? deps.cgroups.usage(directory, { detail }) : undefined;
  return usage ?? taskUsage(deps, id);
}

/** Whether the pod's processes are in the host's cgroups. Only the runtime has the usage of a controller's pod. */
export const isOnHost = (pod: Pod | undefined): boolean => pod === undefined || !hasController(pod);

/**
 * Returns the directory of the pod's own cgroup, which contains those of its containers, by the path in its sandbox's
 * spec. Undefined when the pod has no cgroup parent of its own, when no path is known, and when a runtime without the
 * systemd driver has used the name of a slice as a directory: the slice is empty then.
 */
export function podCgroup({ config, cgroupsPath, runtime }: Pod): string | undefined {
  if ((config.linux?.cgroup_parent ?? '') === '') return undefined;
  const directory = cgroupDirectory(cgroupsPath);
  if (directory === '' || (cgroupsPath.includes(':') && cgroupDriverOf(runtime) === 'cgroupfs')) return undefined;
  const parent = posix.dirname(directory);
  return parent === '/' ? undefined : parent;
}

async function taskUsage({ containerd }: UsageDeps, id: string): Promise<CgroupUsage> {
  const [metric] = await containerd.tasks.metrics([`id==${JSON.stringify(id)}`], { timeoutMs: METRICS_TIMEOUT_MS });
  if (!metric?.data)
    throw new CriError('UNAVAILABLE', `container "${id}" has no cgroup, and its runtime reports no metrics`);
  return decodeCgroupMetrics(metric.data);
}
