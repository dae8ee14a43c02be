import { Protocol, type PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { NetworkPod, PortMapping } from '../network/network.js';

/** Returns the input for a pod's network; all but `id` and `netnsPath` comes from the CRI PodSandboxConfig. */
export function networkPod(pod: {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly netnsPath: string;
}): NetworkPod {
  const { config } = pod;
  return {
    id: pod.id,
    name: config.metadata?.name ?? '',
    namespace: config.metadata?.namespace ?? '',
    uid: config.metadata?.uid ?? '',
    annotations: config.annotations,
    netnsPath: pod.netnsPath,
    cgroupParent: config.linux?.cgroup_parent ?? '',
    portMappings: portMappings(config),
    dns: config.dns_config,
  };
}

/** Mappings without a host port are declarations only and are left out. */
function portMappings(config: PodSandboxConfig): PortMapping[] {
  return config.port_mappings.flatMap((mapping, index) => {
    const field = `config.port_mappings[${index}]`;
    for (const [name, port] of [
      ['host_port', mapping.host_port],
      ['container_port', mapping.container_port],
    ] as const) {
      if (port < 0 || port > 65_535) throw invalidArgument(`${field}.${name}`, `expected 0 to 65535, received ${port}`);
    }
    if (mapping.host_port === 0) return [];
    return [
      {
        hostPort: mapping.host_port,
        containerPort: mapping.container_port,
        protocol: protocol(mapping.protocol, field),
        hostIP: mapping.host_ip,
      },
    ];
  });
}

function protocol(value: Protocol, field: string): PortMapping['protocol'] {
  switch (value) {
    case Protocol.TCP:
      return 'tcp';
    case Protocol.UDP:
      return 'udp';
    case Protocol.SCTP:
      return 'sctp';
    default:
      throw invalidArgument(`${field}.protocol`, `unknown value ${value}`);
  }
}
