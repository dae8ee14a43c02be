import type { Config, RuntimeHandler } from './options.js';
import type { Tree } from './tree.js';

/** The default path of containerd's configuration. */
export const DEFAULT_CONTAINERD_CONFIG = '/etc/containerd/config.toml';

/** The default path of crid's configuration. */
export const DEFAULT_CONFIG = '/etc/crid/config.toml';

/** containerd's default when neither `config_path` nor `mirrors` is set. */
export const DEFAULT_REGISTRY_CONFIG_PATH = '/etc/containerd/certs.d:/etc/docker/certs.d';

/** A runtime of which nothing but its name is known. */
export const defaultRuntimeHandler = (): RuntimeHandler => ({
  runtime_type: '',
  runtime_path: '',
  pod_annotations: [],
  container_annotations: [],
  options: {},
  privileged_without_host_devices: false,
  privileged_without_host_devices_all_devices_allowed: false,
  cgroup_writable: false,
  base_runtime_spec: '',
  cni_conf_dir: '',
  cni_max_conf_num: 0,
  snapshotter: '',
  sandboxer: 'pause',
  disable_pause_image_pull: false,
  io_type: '',
});

/** The defaults of all options: those of containerd 2.x on Linux. */
export const defaultConfig = (): Config => ({
  root: '/var/lib/containerd',
  state: '/run/containerd',
  grpc: { address: '/run/containerd/containerd.sock' },
  runtime: {
    containerd: {
      default_runtime_name: 'runc',
      ignore_blockio_not_enabled_errors: false,
      ignore_rdt_not_enabled_errors: false,
      runtimes: { runc: { ...defaultRuntimeHandler(), runtime_type: 'io.containerd.runc.v2' } },
    },
    cni: {
      bin_dirs: ['/opt/cni/bin'],
      conf_dir: '/etc/cni/net.d',
      max_conf_num: 1,
      setup_serially: false,
      conf_template: '',
      ip_pref: '',
      use_internal_loopback: false,
    },
    blockio_config_file: '',
    enable_selinux: false,
    selinux_category_range: 1024,
    max_container_log_line_size: 16384,
    disable_apparmor: false,
    restrict_oom_score_adj: false,
    disable_proc_mount: false,
    unset_seccomp_profile: '',
    tolerate_missing_hugetlb_controller: true,
    disable_hugetlb_controller: true,
    device_ownership_from_security_context: false,
    ignore_image_defined_volumes: false,
    netns_mounts_under_state_dir: false,
    enable_unprivileged_ports: true,
    enable_unprivileged_icmp: true,
    enable_cdi: true,
    cdi_spec_dirs: ['/etc/cdi', '/var/run/cdi'],
    drain_exec_sync_io_timeout: '0s',
    ignore_deprecation_warnings: [],
    stats_collect_period: '1s',
    stats_retention_period: '2m',
    enable_criu: true,
    enable_experimental_restore_via_create: false,
  },
  images: {
    snapshotter: 'overlayfs',
    disable_snapshot_annotations: true,
    discard_unpacked_layers: false,
    pinned_images: { sandbox: 'registry.k8s.io/pause:3.10.2' },
    runtime_platforms: {},
    registry: { config_path: DEFAULT_REGISTRY_CONFIG_PATH, headers: {}, mirrors: {}, configs: {}, auths: {} },
    image_decryption: { key_model: 'node' },
    max_concurrent_downloads: 3,
    concurrent_layer_fetch_buffer: 0,
    image_pull_progress_timeout: '5m0s',
    image_pull_with_sync_fs: false,
    stats_collect_period: 10,
    use_local_image_pull: false,
  },
  streaming: {
    stream_server_address: '127.0.0.1',
    stream_server_port: '0',
    stream_idle_timeout: '4h0m0s',
    enable_tls_streaming: false,
    x509_key_pair_streaming: { tls_cert_file: '', tls_key_file: '' },
  },
  nri: nriDefaults(),
  crid: cridDefaults(),
});

const nriDefaults = (): Config['nri'] => ({
  enabled: true,
  disable: false,
  socket_path: '/var/run/nri/nri.sock',
  plugin_path: '/opt/nri/plugins',
  plugin_config_path: '/etc/nri/conf.d',
  plugin_registration_timeout: '5s',
  plugin_request_timeout: '2s',
  disable_connections: false,
  default_validator: {
    enable: false,
    reject_oci_hook_adjustment: false,
    reject_runtime_default_seccomp_adjustment: false,
    reject_unconfined_seccomp_adjustment: false,
    reject_custom_seccomp_adjustment: false,
    reject_namespace_adjustment: false,
    reject_sysctl_adjustment: false,
    required_plugins: [],
    tolerate_missing_plugins_annotation: '',
  },
  plugins: {},
});

const cridDefaults = (): Config['crid'] => ({
  listen: '/run/crid/crid.sock',
  socket_gid: 0,
  log_level: 'info',
  metrics_address: '',
  traced_calls: 200,
  namespace: 'k8s.io',
});

const emptyAuth = (): Tree => ({ username: '', password: '', auth: '', identitytoken: '' });

/** The defaults of an entry in a table whose keys the user chooses, by the path of the table. */
export const entryDefaults: Readonly<Record<string, () => Tree>> = {
  'runtime.containerd.runtimes': defaultRuntimeHandler,
  'nri.plugins': () => ({ required: false, failure_policy: 'ignore', exempt_namespaces: [], request_timeout: '' }),
  'images.runtime_platforms': () => ({ platform: '', snapshotter: '' }),
  'images.registry.mirrors': () => ({ endpoint: [] }),
  'images.registry.configs': () => ({ auth: emptyAuth() }),
  'images.registry.auths': emptyAuth,
};
