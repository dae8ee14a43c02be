import type { Config } from '../config/schema.js';
import type { SpecOptions } from '../spec/types.js';

/** The part of the configuration that the specs of pods and containers depend on, as it is at that moment. */
export function specOptions(config: Config): SpecOptions {
  const view = {};
  for (const [key, read] of Object.entries(READ)) {
    Object.defineProperty(view, key, { enumerable: true, get: () => read(config) });
  }
  return view as SpecOptions;
}

const READ: { readonly [K in keyof SpecOptions]: (config: Config) => SpecOptions[K] } = {
  namespace: ({ crid }) => crid.namespace,
  disableProcMount: ({ runtime }) => runtime.disable_proc_mount,
  disableApparmor: ({ runtime }) => runtime.disable_apparmor,
  unsetSeccompProfile: ({ runtime }) => runtime.unset_seccomp_profile,
  restrictOomScoreAdj: ({ runtime }) => runtime.restrict_oom_score_adj,
  tolerateMissingHugetlbController: ({ runtime }) => runtime.tolerate_missing_hugetlb_controller,
  disableHugetlbController: ({ runtime }) => runtime.disable_hugetlb_controller,
  deviceOwnershipFromSecurityContext: ({ runtime }) => runtime.device_ownership_from_security_context,
  enableUnprivilegedPorts: ({ runtime }) => runtime.enable_unprivileged_ports,
  enableUnprivilegedIcmp: ({ runtime }) => runtime.enable_unprivileged_icmp,
};
