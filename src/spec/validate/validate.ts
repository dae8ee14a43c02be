import { isIP } from 'node:net';
import {
  NamespaceMode,
  Protocol,
  Signal,
  type ContainerConfig,
  type DNSConfig,
  type PodSandboxConfig,
  type PortMapping,
} from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { cdiDeviceNames } from '../cdi/cdi.js';
import { checkCgroupParent } from '../cgroup-path.js';
import { checkLabels } from '../container-labels.js';
import { checkLogDirectory, containerLogPath } from '../log-path.js';
import { checkSysctls } from '../sysctls.js';
import {
  checkAbsolutePath,
  checkAnnotations,
  checkEnum,
  checkNoControl,
  checkNoNul,
  checkOneLine,
  checkRange,
} from './text-checks.js';
import { checkEnvs } from './validate-env.js';
import { checkDevices, checkMounts } from './validate-mounts.js';
import { checkResources } from './validate-resources.js';
import { checkContainerSecurityContext, checkSandboxSecurityContext } from './validate-security.js';

/**
 * Refuses an invalid pod before anything is created: INVALID_ARGUMENT with the path of the field, such as
 * `config.linux.sysctls["kernel.core_pattern"]`. Checks that need facts about the host are made elsewhere.
 */
export function validateSandboxConfig(config: PodSandboxConfig): void {
  if (config.metadata === undefined) throw invalidArgument('config.metadata', 'must be given');
  if (config.metadata.name === '') throw invalidArgument('config.metadata.name', 'must not be empty');
  if (config.windows !== undefined) throw invalidArgument('config.windows', 'is not supported on Linux');
  checkNoNul(config, 'config');
  checkHostname(config);
  checkLogDirectory(config.log_directory, 'config.log_directory');
  checkLabels(config.labels, 'config.labels');
  checkAnnotations(config.annotations, 'config.annotations');
  checkDns(config.dns_config);
  checkPortMappings(config.port_mappings);
  const { linux } = config;
  if (linux === undefined) return;
  checkCgroupParent(linux.cgroup_parent, 'config.linux.cgroup_parent');
  checkSysctls(linux.sysctls, linux.security_context?.namespace_options, 'config.linux.sysctls');
  checkSandboxSecurityContext(linux.security_context, 'config.linux.security_context');
  checkResources(linux.overhead, 'config.linux.overhead');
  checkResources(linux.resources, 'config.linux.resources');
}

/** Refuses an invalid container before anything is created: INVALID_ARGUMENT with the path of the field. */
export function validateContainerConfig(config: ContainerConfig): void {
  if (config.metadata === undefined) throw invalidArgument('config.metadata', 'must be given');
  if (config.metadata.name === '') throw invalidArgument('config.metadata.name', 'must not be empty');
  if (config.windows !== undefined) throw invalidArgument('config.windows', 'is not supported on Linux');
  if (!config.image?.image) throw invalidArgument('config.image.image', 'must be given');
  checkNoNul(config, 'config');
  if (config.working_dir !== '') checkAbsolutePath(config.working_dir, 'config.working_dir');
  checkEnvs(config.envs, 'config.envs');
  checkMounts(config.mounts, 'config.mounts');
  checkDevices(config.devices, 'config.devices');
  checkLabels(config.labels, 'config.labels');
  checkAnnotations(config.annotations, 'config.annotations');
  containerLogPath('/', config.log_path);
  checkEnum(config.stop_signal, Signal, 'config.stop_signal');
  cdiDeviceNames(config);
  checkResources(config.linux?.resources, 'config.linux.resources');
  checkContainerSecurityContext(config.linux?.security_context, 'config.linux.security_context');
}

/** The limit of sethostname(2). */
const MAX_HOSTNAME_BYTES = 64;

/** A pod on the host's network has no UTS namespace of its own to set a hostname in. runc refuses both together. */
function checkHostname({ hostname, linux }: PodSandboxConfig): void {
  if (hostname === '') return;
  checkNoControl(hostname, 'config.hostname');
  if (linux?.security_context?.namespace_options?.network === NamespaceMode.NODE) {
    throw invalidArgument('config.hostname', "must be empty for a pod on the host's network");
  }
  if (Buffer.byteLength(hostname) > MAX_HOSTNAME_BYTES) {
    throw invalidArgument('config.hostname', `longer than ${MAX_HOSTNAME_BYTES} bytes`);
  }
}

/** Each entry becomes part of a line of resolv.conf. Kubernetes accepts any text as an option, even two in one. */
function checkDns(dns: DNSConfig | undefined): void {
  for (const list of ['servers', 'searches', 'options'] as const) {
    for (const [index, word] of (dns?.[list] ?? []).entries())
      checkOneLine(word, `config.dns_config.${list}[${index}]`);
  }
}

const MAX_PORT = 65_535;

function checkPortMappings(mappings: readonly PortMapping[]): void {
  for (const [index, mapping] of mappings.entries()) {
    const field = `config.port_mappings[${index}]`;
    checkEnum(mapping.protocol, Protocol, `${field}.protocol`);
    checkRange(mapping.container_port, 0, MAX_PORT, `${field}.container_port`);
    checkRange(mapping.host_port, 0, MAX_PORT, `${field}.host_port`);
    // Without a host port there is nothing to map, and no CNI plugin reads the address.
    if (mapping.host_port !== 0 && mapping.host_ip !== '' && isIP(mapping.host_ip) === 0) {
      throw invalidArgument(`${field}.host_ip`, `"${mapping.host_ip}" is not an IP address`);
    }
  }
}
