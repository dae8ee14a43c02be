import type { LinuxNamespace, PodSandbox } from '../../../generated/nri/v1alpha1/api.js';
import type { OciNamespace } from '../../spec/oci.js';
import type { Pod } from '../../state/records.js';
import type { PodSpec } from '../stored-specs.js';
import { criResources, ociResources } from './resource-view.js';

export interface PodFacts {
  readonly pod: Pod;
  /** The pid of the pause process; 0 when there is none. */
  readonly pid: number;
  /** The spec of the pause container; undefined when a sandbox controller keeps it to itself. */
  readonly spec: PodSpec | undefined;
  /** Whether the pod's network namespace is still there. */
  readonly hasNetwork: boolean;
}

/** Returns a pod as plugins see it, field by field as containerd's CRI plugin sends it. */
export function podMessage({ pod, pid, spec, hasNetwork }: PodFacts): PodSandbox {
  const { metadata, labels, annotations, linux } = pod.config;
  return {
    id: pod.id,
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    namespace: metadata?.namespace ?? '',
    labels: { ...labels },
    annotations: { ...annotations, ...spec?.annotations },
    runtime_handler: pod.runtimeHandler,
    linux: {
      pod_overhead: criResources(linux?.overhead),
      pod_resources: criResources(linux?.resources),
      cgroup_parent: linux?.cgroup_parent ?? '',
      cgroups_path: pod.cgroupsPath,
      namespaces: namespacesOf(spec?.linux?.namespaces ?? [], hasNetwork),
      resources: spec?.linux?.resources && ociResources(spec.linux.resources),
    },
    pid,
    ips: [...(pod.network?.ips ?? [])],
  };
}

/** A network namespace without a path, or one that is gone, is left out. */
const namespacesOf = (namespaces: readonly OciNamespace[], hasNetwork: boolean): LinuxNamespace[] =>
  namespaces
    .filter(({ type, path }) => type !== 'network' || (path !== undefined && path !== '' && hasNetwork))
    .map(namespaceMessage);

export const namespaceMessage = ({ type, path = '' }: OciNamespace): LinuxNamespace => ({ type, path });
