import type { Logger } from '../base/log.js';
import type { BaseSpec } from '../config/load-base-spec.js';
import { runtimeHandler, snapshotterOf } from '../config/runtime-handler.js';
import type { Config, RuntimeHandler } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import { cgroupDriverOf, withCgroupDriver } from '../containerd/runtime-cgroup-driver.js';
import { runtimeOptions } from '../containerd/runtime-options.js';
import { bringUpLoopback } from '../host/namespace/loopback.js';
import { netnsIsOpen } from '../host/namespace/netns.js';
import { unpinAll } from '../host/namespace/pin-namespaces.js';
import { writeSysctls } from '../host/namespace/write-sysctls.js';
import { createAddGate } from '../network/add-gate.js';
import { createNetwork } from '../network/create-network.js';
import type { OciRuntime } from '../host/process/oci-runtime.js';
import { createNetnsCheck } from '../network/netns-check.js';
import type { Network } from '../network/network.js';
import type { PluginMetric } from '../network/plugins.js';
import type { Handler } from '../sandboxer/handler.js';
import { createControllerSandboxer } from '../sandboxer/controller-sandboxer.js';
import { createPauseSandboxer } from '../sandboxer/pause-sandboxer.js';
import { createPinnedSandboxer } from '../sandboxer/pinned-sandboxer.js';
import type { Sandboxer } from '../sandboxer/sandboxer.js';
import type { OciSpec } from '../spec/oci.js';
import { NO_FEATURES } from '../spec/types.js';
import type { Directories } from '../state/directories.js';
import { PAUSE, PINNED, sharesPids } from '../state/pod-view.js';
import type { Pod } from '../state/records.js';
import { handlerCgroupDriver } from './node-cgroup-driver.js';
import type { HandlerFeatures } from './features.js';
import type { InForce } from './settings.js';

/** The parts of handlers that are not in the configuration itself. */
export interface HandlerParts {
  readonly baseSpecs: ReadonlyMap<string, BaseSpec>;
  readonly features: ReadonlyMap<string, HandlerFeatures>;
}

/** Makes the handlers of one configuration after another. Sandboxers and networks that did not change are kept. */
export interface HandlerMaker {
  /**
   * Makes every runtime handler of a configuration, with its network, its sandboxer and its part of the specs. A call
   * that throws leaves no new network behind.
   */
  make(config: Config, parts: HandlerParts): Pick<InForce, 'handlers' | 'network' | 'networks'>;
  /** Stops the watches of all networks but these. Pods that use such a network can still be detached from it. */
  keepOnly(networks: readonly Network[]): void;
  close(): void;
}

export function createHandlerMaker(options: {
  containerd: Containerd;
  directories: Directories;
  log: Logger;
  onPlugin?: (metric: PluginMetric) => void;
}): HandlerMaker {
  const networks = createNetworks(options.log, options.onPlugin);
  const sandboxerOf = createSandboxers(options.containerd, options.directories);
  return {
    make(config, parts) {
      const before = networks.all();
      try {
        return makeHandlers(config, parts, sandboxerOf, (handler) => networks.of(config, handler));
      } catch (thrown) {
        networks.keepOnly(before);
        throw thrown;
      }
    },
    keepOnly: networks.keepOnly,
    close: () => networks.keepOnly([]),
  };
}

function makeHandlers(
  config: Config,
  parts: HandlerParts,
  sandboxerOf: (name: string) => Sandboxer,
  networkOf: (handler: RuntimeHandler) => Network,
): ReturnType<HandlerMaker['make']> {
  const made = new Map<string, Handler>();
  for (const name of Object.keys(config.runtime.containerd.runtimes)) {
    const handler = runtimeHandler(config, name);
    const features = parts.features.get(name);
    made.set(name, {
      name,
      runtime: { name: handler.runtime_type, options: runtimeOptions(handler.runtime_type, handler.options) },
      runtimePath: handler.runtime_path,
      snapshotter: snapshotterOf(config, handler),
      sandboxer: sandboxerOf(handler.sandboxer),
      pullsPauseImage: !handler.disable_pause_image_pull,
      network: networkOf(handler),
      ociRuntime: ociRuntime(handler),
      userNamespaces: features?.userNamespaces ?? false,
      spec: {
        podAnnotations: handler.pod_annotations,
        containerAnnotations: handler.container_annotations,
        privilegedWithoutHostDevices: handler.privileged_without_host_devices,
        privilegedWithoutHostDevicesAllDevicesAllowed: handler.privileged_without_host_devices_all_devices_allowed,
        cgroupWritable: handler.cgroup_writable,
        cgroupNamespaces: features?.cgroupNamespaces ?? false,
        cgroupDriver: handlerCgroupDriver(handler),
        recursiveReadOnlyMounts: features?.recursiveReadOnlyMounts ?? false,
        runtimeFeatures: features?.runtime ?? NO_FEATURES,
        ...baseSpec(parts.baseSpecs.get(handler.base_runtime_spec)),
      },
    });
  }
  const fallback = config.runtime.containerd.default_runtime_name;
  const get = (name: string): Handler => {
    runtimeHandler(config, name);
    return made.get(name || fallback)!;
  };
  return {
    handlers: {
      get,
      forPod: (name, pod) => {
        const handler = get(name);
        return handler.sandboxer.name === PINNED && sharesPids(pod)
          ? { ...handler, sandboxer: sandboxerOf(PAUSE) }
          : handler;
      },
      of: (pod) => ({
        ...inDriverOf(pod.runtime, made.get(pod.runtimeHandler || fallback) ?? made.get(fallback)!),
        // A pod keeps the sandboxer that it was made with, even after the configuration has changed.
        sandboxer: sandboxerOf(pod.sandboxer ?? PAUSE),
      }),
    },
    network: networkOf(runtimeHandler(config, '')),
    networks: [...new Set([...made.values()].map(({ network }) => network))],
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
 * Returns a function that finds a sandboxer by name: the pause container, none, or a controller of containerd's.
 * Whether containerd has the controller shows at the first pod.
 */
function createSandboxers(containerd: Containerd, directories: Directories): (name: string) => Sandboxer {
  const bindings = { isOpen: netnsIsOpen, removeAll: unpinAll, writeSysctls };
  const made = new Map<string, Sandboxer>([
    [PAUSE, createPauseSandboxer(containerd)],
    [PINNED, createPinnedSandboxer(directories, bindings)],
  ]);
  return (name) => {
    const sandboxer = made.get(name) ?? createControllerSandboxer(name, containerd);
    made.set(sandboxer.name, sandboxer);
    return sandboxer;
  };
}

/** Handlers that read the same CNI configuration with the same options share one network. */
function createNetworks(
  log: Logger,
  onPlugin: ((metric: PluginMetric) => void) | undefined,
): {
  of(config: Config, handler: RuntimeHandler): Network;
  all(): Network[];
  keepOnly(kept: readonly Network[]): void;
} {
  const networks = new Map<string, Network>();
  const gate = createAddGate();
  const checkNetns = createNetnsCheck();
  return {
    of({ runtime: { cni } }, handler) {
      const confDir = handler.cni_conf_dir || cni.conf_dir;
      const maxConfNum = handler.cni_conf_dir ? handler.cni_max_conf_num : cni.max_conf_num;
      const { bin_dirs, setup_serially, use_internal_loopback, ip_pref } = cni;
      const key = JSON.stringify([confDir, maxConfNum, bin_dirs, setup_serially, use_internal_loopback, ip_pref]);
      const network =
        networks.get(key) ??
        createNetwork({
          binDirs: bin_dirs,
          confDir,
          maxConfNum,
          setupSerially: setup_serially,
          useInternalLoopback: use_internal_loopback,
          bringUpLoopback,
          ipPref: ip_pref,
          log,
          onPlugin,
          gate,
          netnsIsOpen: checkNetns,
        });
      networks.set(key, network);
      return network;
    },
    all: () => [...networks.values()],
    keepOnly(kept) {
      for (const [key, network] of networks) {
        if (kept.includes(network)) continue;
        network.close();
        networks.delete(key);
      }
    },
  };
}
