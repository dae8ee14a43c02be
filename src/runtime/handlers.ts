import type { Logger } from '../base/log.js';
import type { BaseSpec } from '../config/load-base-spec.js';
import { runtimeHandler } from '../config/runtime-handler.js';
import type { Config, RuntimeHandler } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import { cgroupDriverOf, withCgroupDriver } from '../containerd/runtime-cgroup-driver.js';
import { runtimeOptions } from '../containerd/runtime-options.js';
import { bringUpLoopback } from '../host/namespace/loopback.js';
import { createNetwork } from '../network/create-network.js';
import type { OciRuntime } from '../host/process/oci-runtime.js';
import type { Network } from '../network/network.js';
import type { PluginMetric } from '../network/plugins.js';
import type { Handler, Handlers } from '../sandboxer/handler.js';
import { createControllerSandboxer } from '../sandboxer/controller-sandboxer.js';
import { createPauseSandboxer, PAUSE } from '../sandboxer/pause-sandboxer.js';
import type { Sandboxer } from '../sandboxer/sandboxer.js';
import type { OciSpec } from '../spec/oci.js';
import type { Pod } from '../state/records.js';
import { handlerCgroupDriver } from './node-cgroup-driver.js';
import type { HandlerFeatures } from './features.js';

/** Creates every runtime handler of the configuration, with its network, its sandboxer and its part of the specs. */
export function createHandlers(options: {
  config: Config;
  containerd: Containerd;
  log: Logger;
  baseSpecs: ReadonlyMap<string, BaseSpec>;
  features: ReadonlyMap<string, HandlerFeatures>;
  onPlugin?: (metric: PluginMetric) => void;
}): { handlers: Handlers; network: Network; close(): void } {
  const { config, containerd, log } = options;
  const networks = createNetworks(config, log, options.onPlugin);
  const sandboxerOf = createSandboxers(containerd);
  const made = new Map<string, Handler>();
  for (const name of Object.keys(config.runtime.containerd.runtimes)) {
    const handler = runtimeHandler(config, name);
    made.set(name, {
      name,
      runtime: { name: handler.runtime_type, options: runtimeOptions(handler.runtime_type, handler.options) },
      runtimePath: handler.runtime_path,
      snapshotter: handler.snapshotter || config.images.snapshotter,
      sandboxer: sandboxerOf(handler.sandboxer),
      network: networks.of(handler),
      ociRuntime: ociRuntime(handler),
      userNamespaces: options.features.get(name)?.userNamespaces ?? false,
      spec: {
        podAnnotations: handler.pod_annotations,
        containerAnnotations: handler.container_annotations,
        privilegedWithoutHostDevices: handler.privileged_without_host_devices,
        privilegedWithoutHostDevicesAllDevicesAllowed: handler.privileged_without_host_devices_all_devices_allowed,
        cgroupWritable: handler.cgroup_writable,
        cgroupDriver: handlerCgroupDriver(handler),
        recursiveReadOnlyMounts: options.features.get(name)?.recursiveReadOnlyMounts ?? false,
        ...baseSpec(options.baseSpecs.get(handler.base_runtime_spec)),
      },
    });
  }
  const fallback = config.runtime.containerd.default_runtime_name;
  return {
    handlers: {
      get: (name) => {
        runtimeHandler(config, name);
        return made.get(name || fallback)!;
      },
      of: (pod) => ({
        ...inDriverOf(pod.runtime, made.get(pod.runtimeHandler || fallback) ?? made.get(fallback)!),
        // A pod keeps the sandboxer that it was made with, even after the configuration has changed.
        sandboxer: sandboxerOf(pod.sandboxer ?? PAUSE),
      }),
    },
    network: networks.of(runtimeHandler(config, '')),
    close: networks.close,
  };
}

/**
 * Returns the handler for more containers of a pod. They use the cgroup driver that the pod's own runtime was given,
 * even after the configuration has changed, since the pod's cgroup parent has that driver's form.
 */
function inDriverOf(runtime: Pod['runtime'], handler: Handler): Handler {
  const driver = cgroupDriverOf(runtime);
  if (runtime.name !== handler.runtime.name || driver === undefined) return handler;
  return {
    ...handler,
    runtime: withCgroupDriver(handler.runtime, driver),
    spec: { ...handler.spec, cgroupDriver: driver },
  };
}

const ociRuntime = ({ runtime_type, options }: RuntimeHandler): OciRuntime | undefined =>
  runtime_type === 'io.containerd.runc.v2'
    ? { program: text(options['BinaryName']) || 'runc', root: text(options['Root']) || '/run/containerd/runc' }
    : undefined;

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const baseSpec = (spec: BaseSpec | undefined): { baseSpec?: OciSpec } =>
  spec ? { baseSpec: spec as unknown as OciSpec } : {};

/**
 * Returns a function that finds a sandboxer by name: the pause container, or a controller of containerd's. Whether
 * containerd has the controller shows at the first pod.
 */
function createSandboxers(containerd: Containerd): (name: string) => Sandboxer {
  const made = new Map<string, Sandboxer>([[PAUSE, createPauseSandboxer(containerd)]]);
  return (name) => {
    const sandboxer = made.get(name) ?? createControllerSandboxer(name, containerd);
    made.set(sandboxer.name, sandboxer);
    return sandboxer;
  };
}

/** Handlers that read the same CNI configuration share one network. */
function createNetworks(
  config: Config,
  log: Logger,
  onPlugin: ((metric: PluginMetric) => void) | undefined,
): { of(handler: RuntimeHandler): Network; close(): void } {
  const { cni } = config.runtime;
  const networks = new Map<string, Network>();
  return {
    of(handler) {
      const confDir = handler.cni_conf_dir || cni.conf_dir;
      const maxConfNum = handler.cni_conf_dir ? handler.cni_max_conf_num : cni.max_conf_num;
      const key = `${confDir} ${maxConfNum}`;
      const network =
        networks.get(key) ??
        createNetwork({
          binDirs: cni.bin_dirs,
          confDir,
          maxConfNum,
          setupSerially: cni.setup_serially,
          useInternalLoopback: cni.use_internal_loopback,
          bringUpLoopback,
          ipPref: cni.ip_pref,
          log,
          onPlugin,
        });
      networks.set(key, network);
      return network;
    },
    close: () => {
      for (const network of networks.values()) network.close();
    },
  };
}
