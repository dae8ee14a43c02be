import type { NetworkInterfaceUsage, NetworkUsage } from '../../generated/runtime/v1/api.js';
import { interfacesIn, interfacesOf, type InterfaceUsage } from '../host/namespace/net-dev.js';
import { DEFAULT_INTERFACE } from '../network/target.js';
import { isPinned, usesHostNetwork } from '../state/pod-view.js';
import type { Pod } from '../state/records.js';
import type { StatsDeps } from './stats-deps.js';

/**
 * Returns a pod's interfaces except `lo`; undefined on the host's network, and for a controller's pod without a process
 * on this host.
 */
export function podInterfaces(deps: Pick<StatsDeps, 'state'>, pod: Pod): InterfaceUsage[] | undefined {
  if (usesHostNetwork(pod.config)) return undefined;
  const pid = pidIn(deps, pod);
  const interfaces = pid !== undefined ? interfacesOf(pid) : isPinned(pod) ? interfacesIn(pod.netnsPath) : undefined;
  return interfaces?.filter(({ name }) => name !== 'lo');
}

/**
 * CRI NetworkUsage: the default interface has its own field, the others are in `interfaces`. Undefined without a
 * default interface, as while the pod's network is removed: with the gate PodAndContainerStatsFromCRI, kubelet 1.36
 * panics when only `default_interface` is missing.
 */
export function networkUsage(interfaces: readonly InterfaceUsage[], atNs: bigint): NetworkUsage | undefined {
  const main = interfaces.find(({ name }) => name === DEFAULT_INTERFACE);
  if (!main) return undefined;
  return {
    timestamp: atNs,
    default_interface: interfaceUsage(main),
    interfaces: interfaces.filter((one) => one !== main).map(interfaceUsage),
  };
}

const interfaceUsage = (one: InterfaceUsage): NetworkInterfaceUsage => ({
  name: one.name,
  rx_bytes: { value: one.rxBytes },
  rx_errors: { value: one.rxErrors },
  tx_bytes: { value: one.txBytes },
  tx_errors: { value: one.txErrors },
});

/** Returns a pid in the pod's network: the sandbox's, or a container's if the sandbox has no process on this host. */
function pidIn({ state }: Pick<StatsDeps, 'state'>, pod: Pod): number | undefined {
  if (pod.state.phase === 'ready' && pod.state.pid > 0) return pod.state.pid;
  for (const container of state.containersOf(pod.id)) {
    if (container.state.phase === 'running' && container.state.pid > 0) return container.state.pid;
  }
  return undefined;
}
