import { capabilityArgs } from './capability-args.js';
import type { NetworkConf } from './conf-list.js';
import { parseConfList } from './conf-list.js';
import type { JsonObject } from './json.js';
import type { NetworkPod } from './network.js';

/** The container, namespace and interface to attach, and the arguments: libcni's RuntimeConf. */
export interface Target {
  readonly containerId: string;
  /** '' when the network namespace is gone. */
  readonly netns: string;
  readonly ifName: string;
  readonly args: readonly (readonly [string, string])[];
  readonly capabilityArgs: JsonObject;
}

/** A pod's network: its configuration and interface. */
export interface PodNetwork {
  readonly conf: NetworkConf;
  readonly ifName: string;
}

export const LOOPBACK_INTERFACE = 'lo';

/** The interface that has the pod's addresses: that of the first configuration file. */
export const DEFAULT_INTERFACE = 'eth0';

/** Returns the pod's networks: eth0 for the first configuration file, eth1 for the second; first loopback if wanted. */
export function podNetworks(confs: readonly NetworkConf[], withLoopback: boolean): PodNetwork[] {
  const networks = confs.map((conf, index) => ({ conf, ifName: `eth${index}` }));
  return withLoopback ? [{ conf: LOOPBACK, ifName: LOOPBACK_INTERFACE }, ...networks] : networks;
}

/** Throws INVALID_ARGUMENT for a malformed bandwidth annotation. */
export const podTarget = (pod: NetworkPod): Omit<Target, 'ifName'> => ({
  ...bareTarget(pod),
  capabilityArgs: capabilityArgs(pod),
});

/** Returns a target without capability arguments, which is enough to delete a network that was never recorded. */
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

// The name and version are containerd's, so that each server finds the other's cached result.
const LOOPBACK = parseConfList(
  JSON.stringify({ cniVersion: '0.3.1', name: 'cni-loopback', plugins: [{ type: 'loopback' }] }),
);
