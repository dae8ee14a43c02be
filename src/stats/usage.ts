import { posix } from 'node:path';
import type { CgroupUsage } from '../base/cgroup-usage.js';
import { CriError } from '../base/errors.js';
import { decodeCgroupMetrics } from '../containerd/cgroup-metrics.js';
import { cgroupDirectory, cgroupsPath } from '../spec/cgroup-path.js';
import type { Container, Pod } from '../state/records.js';
import type { StatsDeps } from './deps.js';

type UsageDeps = Pick<StatsDeps, 'containerd' | 'cgroups' | 'handlers'>;

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

/** Where the pod's own cgroup lies, that of all its containers; undefined when it shares the root with others. */
export function podCgroup(deps: Pick<StatsDeps, 'containerd' | 'handlers'>, pod: Pod): string | undefined {
  const parent = pod.config.linux?.cgroup_parent ?? '';
  if (parent === '') return undefined;
  const { systemdCgroup } = deps.handlers.of(pod).spec;
  const path = cgroupsPath(parent, pod.id, { systemdCgroup, namespace: deps.containerd.namespace });
  const directory = posix.dirname(cgroupDirectory(path));
  return directory === '/' ? undefined : directory;
}

async function taskUsage({ containerd }: UsageDeps, id: string): Promise<CgroupUsage> {
  const [metric] = await containerd.tasks.metrics([`id==${JSON.stringify(id)}`], { timeoutMs: METRICS_TIMEOUT_MS });
  if (!metric?.data)
    throw new CriError('UNAVAILABLE', `container "${id}" has no cgroup, and its runtime tells nothing`);
  return decodeCgroupMetrics(metric.data);
}
