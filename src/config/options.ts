import { z } from 'zod';
import {
  absolutePath,
  duration,
  filledText,
  flag,
  list,
  named,
  oneOf,
  optionalPath,
  pathList,
  port,
  socketPath,
  table,
  text,
  wholeNumber,
} from './values.js';

/**
 * All options, under containerd's own names (version 3 of its config.toml). docs/configuration.md describes each with
 * its default, and a test compares that table with this schema.
 */

/** `runtime.containerd.runtimes.NAME`: how the pods of one RuntimeClass handler run. */
const runtimeHandlerSchema = table({
  runtime_type: filledText,
  runtime_path: optionalPath,
  pod_annotations: list(text),
  container_annotations: list(text),
  options: named(z.unknown()),
  privileged_without_host_devices: flag,
  privileged_without_host_devices_all_devices_allowed: flag,
  cgroup_writable: flag,
  base_runtime_spec: optionalPath,
  cni_conf_dir: optionalPath,
  cni_max_conf_num: wholeNumber(0),
  snapshotter: text,
  sandboxer: text,
  disable_pause_image_pull: flag,
  io_type: oneOf(['', 'fifo', 'streaming']),
});

/** containerd's `plugins."io.containerd.cri.v1.runtime"`. */
const runtimeSchema = table({
  containerd: table({
    default_runtime_name: filledText,
    ignore_blockio_not_enabled_errors: flag,
    ignore_rdt_not_enabled_errors: flag,
    runtimes: named(runtimeHandlerSchema),
  }),
  cni: table({
    bin_dirs: list(absolutePath),
    conf_dir: absolutePath,
    max_conf_num: wholeNumber(0),
    setup_serially: flag,
    conf_template: optionalPath,
    ip_pref: oneOf(['', 'ipv4', 'ipv6', 'cni']),
    use_internal_loopback: flag,
  }),
  blockio_config_file: optionalPath,
  enable_selinux: flag,
  selinux_category_range: wholeNumber(0),
  max_container_log_line_size: wholeNumber(),
  disable_apparmor: flag,
  restrict_oom_score_adj: flag,
  disable_proc_mount: flag,
  unset_seccomp_profile: text,
  tolerate_missing_hugetlb_controller: flag,
  disable_hugetlb_controller: flag,
  device_ownership_from_security_context: flag,
  ignore_image_defined_volumes: flag,
  netns_mounts_under_state_dir: flag,
  enable_unprivileged_ports: flag,
  enable_unprivileged_icmp: flag,
  enable_cdi: flag,
  cdi_spec_dirs: list(absolutePath),
  drain_exec_sync_io_timeout: duration,
  ignore_deprecation_warnings: list(text),
  stats_collect_period: duration,
  stats_retention_period: duration,
  enable_criu: flag,
  enable_experimental_restore_via_create: flag,
});

const registryAuthSchema = table({ username: text, password: text, auth: text, identitytoken: text });

/** containerd's `plugins."io.containerd.cri.v1.images"`. */
const imagesSchema = table({
  snapshotter: filledText,
  disable_snapshot_annotations: flag,
  discard_unpacked_layers: flag,
  pinned_images: named(filledText),
  runtime_platforms: named(table({ platform: text, snapshotter: text })),
  registry: table({
    config_path: pathList,
    headers: named(list(text)),
    mirrors: named(table({ endpoint: list(filledText) })),
    configs: named(table({ auth: registryAuthSchema })),
    auths: named(registryAuthSchema),
  }),
  image_decryption: table({ key_model: text }),
  max_concurrent_downloads: wholeNumber(0),
  concurrent_layer_fetch_buffer: wholeNumber(0),
  image_pull_progress_timeout: duration,
  image_pull_with_sync_fs: flag,
  stats_collect_period: wholeNumber(0),
  use_local_image_pull: flag,
});

/** containerd's `plugins."io.containerd.grpc.v1.cri"`, as of version 3. */
const streamingSchema = table({
  stream_server_address: text,
  stream_server_port: port,
  stream_idle_timeout: duration,
  enable_tls_streaming: flag,
  x509_key_pair_streaming: table({ tls_cert_file: optionalPath, tls_key_file: optionalPath }),
});

/** `nri.plugins.NAME`: the policy of the node for a plugin. */
const nriPluginSchema = table({
  required: flag,
  failure_policy: oneOf(['ignore', 'fail']),
  exempt_namespaces: list(filledText),
  request_timeout: duration,
});

/** `nri.default_validator`: containerd's built-in validator of adjustments. */
const nriValidatorSchema = table({
  enable: flag,
  reject_oci_hook_adjustment: flag,
  reject_runtime_default_seccomp_adjustment: flag,
  reject_unconfined_seccomp_adjustment: flag,
  reject_custom_seccomp_adjustment: flag,
  reject_namespace_adjustment: flag,
  reject_sysctl_adjustment: flag,
  required_plugins: list(filledText),
  tolerate_missing_plugins_annotation: text,
});

/** containerd's `plugins."io.containerd.nri.v1.nri"`; `enabled` and `plugins` are crid's own. */
const nriSchema = table({
  enabled: flag,
  disable: flag,
  socket_path: socketPath,
  plugin_path: absolutePath,
  plugin_config_path: absolutePath,
  plugin_registration_timeout: duration,
  plugin_request_timeout: duration,
  disable_connections: flag,
  default_validator: nriValidatorSchema,
  plugins: named(nriPluginSchema),
});

/** `[crid]`: options without an equivalent in containerd. Only crid's own file may contain them. */
const cridSchema = table({
  listen: socketPath,
  socket_gid: wholeNumber(0),
  log_level: oneOf(['trace', 'debug', 'info', 'warn', 'error']),
  metrics_address: text.regex(/^$|^(\[[0-9a-fA-F:]+\]|[^:\s]*):\d{1,5}$/, { error: 'expected host:port, or nothing' }),
  traced_calls: wholeNumber(0),
  namespace: filledText.regex(/^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$/, { error: 'expected the name of a namespace' }),
});

export const configSchema = table({
  root: absolutePath,
  state: absolutePath,
  grpc: table({ address: socketPath }),
  runtime: runtimeSchema,
  images: imagesSchema,
  streaming: streamingSchema,
  nri: nriSchema,
  crid: cridSchema,
});

export type Config = z.infer<typeof configSchema>;
export type RuntimeConfig = z.infer<typeof runtimeSchema>;
export type RuntimeHandler = z.infer<typeof runtimeHandlerSchema>;
export type ImagesConfig = z.infer<typeof imagesSchema>;
export type StreamingConfig = z.infer<typeof streamingSchema>;
export type NriConfig = z.infer<typeof nriSchema>;
export type CridConfig = z.infer<typeof cridSchema>;
export type RegistryAuth = z.infer<typeof registryAuthSchema>;
