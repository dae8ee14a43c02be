import type { Config, RuntimeHandler } from '../config/schema.js';
import type { OciSpec } from './oci.js';
import type { SpecHandlerOptions, SpecOptions } from './types.js';

/** What of a runtime handler's configuration reaches the spec; `found` is what reading its file and runtime has told. */
export const specHandler = (
  handler: RuntimeHandler,
  found: { readonly recursiveReadOnlyMounts?: boolean; readonly baseSpec?: OciSpec | undefined } = {},
): SpecHandlerOptions => ({
  podAnnotations: handler.pod_annotations,
  containerAnnotations: handler.container_annotations,
  privilegedWithoutHostDevices: handler.privileged_without_host_devices,
  privilegedWithoutHostDevicesAllDevicesAllowed: handler.privileged_without_host_devices_all_devices_allowed,
  cgroupWritable: handler.cgroup_writable,
  systemdCgroup: handler.options['SystemdCgroup'] === true,
  recursiveReadOnlyMounts: found.recursiveReadOnlyMounts ?? false,
  ...(found.baseSpec && { baseSpec: found.baseSpec }),
});

/** What of crid's configuration reaches every spec. */
export const specOptions = (config: Config): SpecOptions => ({
  namespace: config.crid.namespace,
  disableProcMount: config.runtime.disable_proc_mount,
  disableApparmor: config.runtime.disable_apparmor,
  unsetSeccompProfile: config.runtime.unset_seccomp_profile,
  restrictOomScoreAdj: config.runtime.restrict_oom_score_adj,
  tolerateMissingHugetlbController: config.runtime.tolerate_missing_hugetlb_controller,
  disableHugetlbController: config.runtime.disable_hugetlb_controller,
  deviceOwnershipFromSecurityContext: config.runtime.device_ownership_from_security_context,
  enableUnprivilegedPorts: config.runtime.enable_unprivileged_ports,
  enableUnprivilegedIcmp: config.runtime.enable_unprivileged_icmp,
});
