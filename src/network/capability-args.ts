import { invalidArgument } from '../base/errors.js';
import type { JsonObject } from './json.js';
import type { NetworkPod } from './network.js';
import { parseQuantity } from './quantity.js';

/**
 * Returns the arguments for plugins that declare the capability of the same name: `portMappings`, `bandwidth`, `dns`,
 * `cgroupPath` and `io.kubernetes.cri.pod-annotations`. The fields are spelled as in containerd's CRI (HostPort, not
 * hostPort): plugins in Go accept both, and a plugin that compares exactly was written for the nodes of today.
 * INVALID_ARGUMENT, naming the annotation: not a valid bandwidth.
 */
export function capabilityArgs(pod: NetworkPod): JsonObject {
  const ports = pod.portMappings
    .filter(({ hostPort }) => hostPort > 0)
    .map(({ hostPort, containerPort, protocol, hostIP }) => ({
      HostPort: hostPort,
      ContainerPort: containerPort,
      Protocol: protocol,
      HostIP: hostIP,
    }));
  const bandwidth = podBandwidth(pod.annotations);
  const { dns, cgroupParent } = pod;
  return {
    'io.kubernetes.cri.pod-annotations': pod.annotations,
    ...(ports.length > 0 ? { portMappings: ports } : {}),
    ...(bandwidth ? { bandwidth } : {}),
    ...(dns ? { dns: { Servers: dns.servers, Searches: dns.searches, Options: dns.options } } : {}),
    ...(cgroupParent !== '' ? { cgroupPath: cgroupParent } : {}),
  };
}

const MIN_BANDWIDTH = 1_000n;
const MAX_BANDWIDTH = 1_000_000_000_000_000n;
/** Practically unlimited: the annotations have no burst, but the plugin requires one. */
const BURST = 4_294_967_295;

function podBandwidth(annotations: NetworkPod['annotations']): JsonObject | undefined {
  const ingress = rate(annotations, 'kubernetes.io/ingress-bandwidth');
  const egress = rate(annotations, 'kubernetes.io/egress-bandwidth');
  if (ingress === undefined && egress === undefined) return undefined;
  return {
    IngressRate: ingress ?? 0,
    IngressBurst: ingress === undefined ? 0 : BURST,
    EgressRate: egress ?? 0,
    EgressBurst: egress === undefined ? 0 : BURST,
  };
}

/** Returns bits per second. */
function rate(annotations: NetworkPod['annotations'], name: string): number | undefined {
  const text = annotations[name];
  if (text === undefined) return undefined;
  const field = `config.annotations[${name}]`;
  const value = parseQuantity(text);
  if (value === undefined) throw invalidArgument(field, `${JSON.stringify(text)} is not a resource quantity`);
  if (value < MIN_BANDWIDTH) throw invalidArgument(field, `${text} is unreasonably small (< 1kbit)`);
  if (value > MAX_BANDWIDTH) throw invalidArgument(field, `${text} is unreasonably large (> 1Pbit)`);
  return Number(value);
}
