import type { Config, RuntimeHandler } from '../config/schema.js';
import { PAUSE } from '../state/pod-view.js';

/**
 * Returns the configuration in force as containerd's CRI plugin shows it in its verbose Status (`internal/cri/config`
 * of containerd, struct Config): scripts, test suites and kubeadm read these keys, with this mixed spelling. Beyond the
 * plugin's keys it has `sandboxImage`, which kubeadm reads and containerd 2 no longer has, and keys that containerd has
 * dropped since 2.0 (`cni.binDir`, `enableCDI`). Names with a capital letter are the plugin's own.
 */
export function pluginConfig(
  config: Config,
  directories: { readonly root: string; readonly state: string },
): Record<string, unknown> {
  const { runtime } = config;
  return {
    containerd: {
      defaultRuntimeName: runtime.containerd.default_runtime_name,
      runtimes: Object.fromEntries(
        Object.entries(runtime.containerd.runtimes).map(([name, handler]) => [name, pluginRuntime(name, handler)]),
      ),
      ignoreBlockIONotEnabledErrors: runtime.containerd.ignore_blockio_not_enabled_errors,
      ignoreRdtNotEnabledErrors: runtime.containerd.ignore_rdt_not_enabled_errors,
    },
    cni: pluginCni(runtime.cni),
    ...pluginOptions(runtime),
    sandboxImage: config.images.pinned_images['sandbox'] ?? '',
    containerdRootDir: config.root,
    containerdEndpoint: config.grpc.address,
    rootDir: directories.root,
    stateDir: directories.state,
  };
}

const pluginRuntime = (name: string, handler: RuntimeHandler): Record<string, unknown> => ({
  runtimeType: handler.runtime_type,
  runtimePath: handler.runtime_path,
  PodAnnotations: listOf(handler.pod_annotations),
  ContainerAnnotations: listOf(handler.container_annotations),
  options: optionsOf(name, handler),
  privileged_without_host_devices: handler.privileged_without_host_devices,
  privileged_without_host_devices_all_devices_allowed: handler.privileged_without_host_devices_all_devices_allowed,
  cgroupWritable: handler.cgroup_writable,
  baseRuntimeSpec: handler.base_runtime_spec,
  cniConfDir: handler.cni_conf_dir,
  cniMaxConfNum: handler.cni_max_conf_num,
  snapshotter: handler.snapshotter,
  sandboxer: handler.sandboxer === PAUSE ? PODSANDBOX : handler.sandboxer,
  disablePauseImagePull: handler.disable_pause_image_pull,
  io_type: handler.io_type,
});

/** Go's JSON shows a list that was never set as null. */
const listOf = (list: readonly string[]): readonly string[] | null => (list.length === 0 ? null : list);

/** The plugin sets every option of runc in the handler named `runc` before it reads a file. */
function optionsOf(name: string, { options }: RuntimeHandler): Record<string, unknown> | null {
  if (name === 'runc') return { ...RUNC_DEFAULTS, ...options };
  return Object.keys(options).length === 0 ? null : options;
}

const RUNC_DEFAULTS = {
  ...{ BinaryName: '', Root: '', ShimCgroup: '', CriuImagePath: '', CriuWorkPath: '' },
  ...{ IoUid: 0, IoGid: 0, NoNewKeyring: false, SystemdCgroup: false },
};

/** The plugin's name for a sandbox with a pause container. */
const PODSANDBOX = 'podsandbox';

const pluginCni = (cni: Config['runtime']['cni']): Record<string, unknown> => ({
  // Before 2.1 the plugin had one directory. Since then it shows an empty text.
  binDir: '',
  binDirs: cni.bin_dirs,
  confDir: cni.conf_dir,
  maxConfNum: cni.max_conf_num,
  setupSerially: cni.setup_serially,
  confTemplate: cni.conf_template,
  ipPref: cni.ip_pref,
  useInternalLoopback: cni.use_internal_loopback,
});

const pluginOptions = (runtime: Config['runtime']): Record<string, unknown> => ({
  enableSelinux: runtime.enable_selinux,
  selinuxCategoryRange: runtime.selinux_category_range,
  maxContainerLogLineSize: runtime.max_container_log_line_size,
  disableApparmor: runtime.disable_apparmor,
  restrictOOMScoreAdj: runtime.restrict_oom_score_adj,
  disableProcMount: runtime.disable_proc_mount,
  unsetSeccompProfile: runtime.unset_seccomp_profile,
  tolerateMissingHugetlbController: runtime.tolerate_missing_hugetlb_controller,
  disableHugetlbController: runtime.disable_hugetlb_controller,
  device_ownership_from_security_context: runtime.device_ownership_from_security_context,
  ignoreImageDefinedVolumes: runtime.ignore_image_defined_volumes,
  netnsMountsUnderStateDir: runtime.netns_mounts_under_state_dir,
  enableUnprivilegedPorts: runtime.enable_unprivileged_ports,
  enableUnprivilegedICMP: runtime.enable_unprivileged_icmp,
  enableCDI: runtime.enable_cdi,
  cdiSpecDirs: runtime.cdi_spec_dirs,
  drainExecSyncIOTimeout: runtime.drain_exec_sync_io_timeout,
  ignoreDeprecationWarnings: listOf(runtime.ignore_deprecation_warnings),
  statsCollectPeriod: runtime.stats_collect_period,
  statsRetentionPeriod: runtime.stats_retention_period,
  enableCRIU: runtime.enable_criu,
  enableExperimentalRestoreViaCreate: runtime.enable_experimental_restore_via_create,
});
