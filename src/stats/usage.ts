import { posix } from 'node:path';
import type { CgroupUsage } from '../base/cgroup-usage.js';
import { CriError } from '../base/errors.js';
import { cgroupDriverOf } from '../containerd/cgroup-driver.js';
import { decodeCgroupMetrics } from '../containerd/cgroup-metrics.js';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import type { Container, Pod } from '../state/records.js';
import type { StatsDeps } from './deps.js';

type UsageDeps = Pick<StatsDeps, 'containerd' | 'cgroups'>;

const METRICS_TIMEOUT_MS = 5_000;

/**
 * What a running container has used: from the kernel's files, and from its runtime where its processes are not this
 * kernel's (a virtual machine). UNAVAILABLE when neither can tell.
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

/** Whether the pod's processes are in the host's cgroups; those of a sandboxer of its own are the runtime's affair. */
export const isOnHost = (pod: Pod | undefined): boolean => pod?.sandboxer === undefined;

/**
 * Where the pod's own cgroup lies, that of all its containers, by the path in the spec of its sandbox. undefined when
 * it shares its parent with other pods, when no path is known, and when a runtime without the systemd driver has taken
 * the name of a slice for a directory: the slice is empty then.
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
    throw new CriError('UNAVAILABLE', `container "${id}" has no cgroup, and its runtime tells nothing`);
  return decodeCgroupMetrics(metric.data);
}
