import { liveView } from '../base/live-view.js';
import type { Config } from '../config/schema.js';
import type { SpecOptions } from '../spec/types.js';

/** The part of the configuration that the specs of pods and containers depend on, as it is at that moment. */
export const specOptions = (config: Config): SpecOptions =>
  liveView(Object.keys(optionsOf(config)) as (keyof SpecOptions)[], () => optionsOf(config));

const optionsOf = ({ runtime, crid }: Config): SpecOptions => ({
  namespace: crid.namespace,
  disableProcMount: runtime.disable_proc_mount,
  disableApparmor: runtime.disable_apparmor,
  unsetSeccompProfile: runtime.unset_seccomp_profile,
  restrictOomScoreAdj: runtime.restrict_oom_score_adj,
  tolerateMissingHugetlbController: runtime.tolerate_missing_hugetlb_controller,
  disableHugetlbController: runtime.disable_hugetlb_controller,
  deviceOwnershipFromSecurityContext: runtime.device_ownership_from_security_context,
  enableUnprivilegedPorts: runtime.enable_unprivileged_ports,
  enableUnprivilegedIcmp: runtime.enable_unprivileged_icmp,
});
