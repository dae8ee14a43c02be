import { capabilityArgs } from './capability-args.js';
import type { NetworkConf } from './conf-list.js';
import { parseConfList } from './conf-list.js';
import type { JsonObject } from './json.js';
import type { NetworkPod } from './network.js';

/** Where a network is attached, and with what: libcni's runtime configuration. */
export interface Target {
  readonly containerId: string;
  /** '' when the namespace is gone. */
  readonly netns: string;
  readonly ifName: string;
  readonly args: readonly (readonly [string, string])[];
  readonly capabilityArgs: JsonObject;
}

/** One network of a pod: its interface and how it is made. */
export interface PodNetwork {
  readonly conf: NetworkConf;
  readonly ifName: string;
}

export const LOOPBACK_INTERFACE = 'lo';

/** The interface whose addresses are the pod's: that of the first configuration file. */
export const DEFAULT_INTERFACE = 'eth0';

/** The pod's networks: eth0 for the first configuration file, eth1 for the second; loopback before all when asked. */
export function podNetworks(confs: readonly NetworkConf[], withLoopback: boolean): PodNetwork[] {
  const networks = confs.map((conf, index) => ({ conf, ifName: `eth${index}` }));
  return withLoopback ? [{ conf: LOOPBACK, ifName: LOOPBACK_INTERFACE }, ...networks] : networks;
}

/** INVALID_ARGUMENT when the pod's annotations make no sense. */
export const podTarget = (pod: NetworkPod): Omit<Target, 'ifName'> => ({
  ...bareTarget(pod),
  capabilityArgs: capabilityArgs(pod),
});

/** Without capability arguments: enough to delete what was never recorded. */
export const bareTarget = (pod: NetworkPod): Omit<Target, 'ifName'> => ({
  containerId: pod.id,
  netns: pod.netnsPath,
  args: [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', pod.namespace],
    ['K8S_POD_NAME', pod.name],
    ['K8S_POD_INFRA_CONTAINER_ID', pod.id],
    ['K8S_POD_UID', pod.uid],
  ],
  capabilityArgs: {},
});

// Name and version are containerd's, so that its cached result is found as ours and the reverse.
const LOOPBACK = parseConfList(
  JSON.stringify({ cniVersion: '0.3.1', name: 'cni-loopback', plugins: [{ type: 'loopback' }] }),
);
