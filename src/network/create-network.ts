import { join } from 'node:path';
import { withAnySignal } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { createAddGate, type AddGate } from './add-gate.js';
import { attachPod } from './attach-pod.js';
import { collectGarbage } from './collect-garbage.js';
import { NOT_INITIALIZED } from './conf-dir.js';
import type { PluginConf } from './conf-list.js';
import { createConfStore } from './conf-store.js';
import { deleteStale } from './delete-stale.js';
import { detachPod } from './detach-pod.js';
import { isObject, type JsonObject } from './json.js';
import { createNetnsCheck, type NetnsCheck } from './netns-check.js';
import { createReadiness } from './network-readiness.js';
import type { Network } from './network.js';
import { createPlugins, type PluginMetric } from './plugins.js';
import type { IpPreference } from './pod-ips.js';
import { createPodLocks } from './pod-locks.js';
import { createResultCache } from './result-cache.js';
import { podNetworks, type PodNetwork } from './target.js';

export interface NetworkOptions {
  readonly binDirs: readonly string[];
  readonly confDir: string;
  /** How many configuration files, in lexical order, are networks of a pod; 0 is all. */
  readonly maxConfNum: number;
  /** Adds one network after the other rather than all in parallel. */
  readonly setupSerially: boolean;
  /** Bring `lo` up with `bringUpLoopback` instead of the loopback plugin. Without that function, the plugin is used. */
  readonly useInternalLoopback: boolean;
  readonly bringUpLoopback?: ((netnsPath: string) => void | Promise<void>) | undefined;
  readonly ipPref: IpPreference;
  /** libcni's cache directory; the default is that of containerd's CRI, /var/lib/cni. */
  readonly cacheDir?: string | undefined;
  readonly addTimeoutMs?: number | undefined;
  readonly delTimeoutMs?: number | undefined;
  readonly statusTimeoutMs?: number | undefined;
  readonly gcTimeoutMs?: number | undefined;
  readonly staleDelTimeoutMs?: number | undefined;
  /** Shared by networks of the same name. */
  readonly gate?: AddGate | undefined;
  /** Shared by all networks. */
  readonly netnsIsOpen?: NetnsCheck | undefined;
  /** How many plugins run at the same time, for all pods together. */
  readonly maxPlugins?: number | undefined;
  readonly log: Logger;
  readonly onPlugin?: ((metric: PluginMetric) => void) | undefined;
}

/** How long a garbage collection waits for running ADDs. */
const GC_WAIT_MS = 30_000;
/** For the DELs, and again for the GC verbs, which new ADDs wait for. */
const GC_LIMIT_MS = 60_000;

/** Creates the networks of one configuration directory, with CNI plugins. */
export function createNetwork(options: NetworkOptions): Network {
  const { confDir, maxConfNum } = options;
  const store = createConfStore({ dir: confDir, maxConfNum, log: options.log });
  const cache = createResultCache(options.cacheDir ?? '/var/lib/cni', options.log);
  const plugins = createPlugins({
    binDirs: options.binDirs,
    timeoutsMs: {
      ADD: options.addTimeoutMs ?? 220_000,
      DEL: options.delTimeoutMs ?? 60_000,
      STATUS: options.statusTimeoutMs ?? 5_000,
      GC: options.gcTimeoutMs ?? 10_000,
    },
    maxAtOnce: options.maxPlugins ?? 64,
    log: options.log,
    onPlugin: options.onPlugin,
  });
  const locked = createPodLocks();
  const gate = options.gate ?? createAddGate();
  const { netnsIsOpen = createNetnsCheck(), staleDelTimeoutMs = 10_000 } = options;
  const readiness = createReadiness(plugins);
  const bringUpLoopback = options.useInternalLoopback ? options.bringUpLoopback : undefined;
  const networksOf = async () => {
    const loaded = await store.current();
    return { loaded, networks: podNetworks(loaded.networks, bringUpLoopback === undefined) };
  };
  const ports = () => ({ plugins, cache, log: logOf(options.log), netnsIsOpen, staleDelTimeoutMs });

  return {
    attach: (pod, signal) =>
      locked(pod.id, signal, async () => {
        const { loaded, networks } = await networksOf();
        if (loaded.error !== '') throw new CriError('FAILED_PRECONDITION', notReady(loaded.error));
        await bringUpLoopback?.(pod.netnsPath);
        const how = { serially: options.setupSerially, ipPref: options.ipPref };
        return gate.add(signal, () => attachPod(ports(), pod, networks, how, signal));
      }),
    detach: (pod, signal) =>
      locked(pod.id, signal, async () => detachPod(ports(), pod, (await networksOf()).networks, signal)),
    async status() {
      const { loaded, networks } = await networksOf();
      const message = loaded.error !== '' ? notReady(loaded.error) : await readiness(loaded.networks);
      const lastLoadError =
        loaded.error === '' ? '' : `cni config load failed: ${loaded.error}: failed to load cni config`;
      return { ready: message === '', message, lastLoadError, config: configInfo(options, networks) };
    },
    async collectGarbage(pods, signal) {
      const limited = <T>(work: (ended: AbortSignal) => Promise<T>): Promise<T> =>
        withAnySignal([signal, AbortSignal.timeout(GC_LIMIT_MS)], work);
      const stale = await limited(async (ended) => deleteStale(ports(), (await networksOf()).networks, pods, ended));
      if (signal.aborted) return true;
      return gate.collect(GC_WAIT_MS, () =>
        limited(async (ended) => collectGarbage(ports(), (await networksOf()).networks, pods, stale, ended)),
      );
    },
    waitingOn: (podId) => plugins.waitingOn(podId),
    close: () => store.close(),
  };
}

/** Ends the message with the words that containerd's CRI uses for any node without a network. */
const notReady = (error: string): string => (error.endsWith(NOT_INITIALIZED) ? error : `${error}: ${NOT_INITIALIZED}`);

/** Returns `cniconfig` of `crictl info`, in the form of containerd's CRI. */
function configInfo(
  options: { readonly binDirs: readonly string[]; readonly confDir: string; readonly maxConfNum: number },
  networks: readonly PodNetwork[],
): JsonObject {
  return {
    PluginDirs: options.binDirs,
    PluginConfDir: join(options.confDir),
    PluginMaxConfNum: options.maxConfNum,
    Prefix: 'eth',
    Networks: networks.map(({ conf, ifName }) => ({
      Config: {
        Name: conf.name,
        CNIVersion: conf.cniVersion,
        Plugins: conf.plugins.map((plugin) => ({ Network: common(plugin), Source: JSON.stringify(plugin.raw) })),
        Source: conf.source,
      },
      IFName: ifName,
    })),
  };
}

/** Returns the fields that all plugin configurations share. */
function common({ raw }: PluginConf): JsonObject {
  const ipam = isObject(raw.ipam) && typeof raw.ipam.type === 'string' ? { type: raw.ipam.type } : {};
  const kept = ['cniVersion', 'name', 'type', 'capabilities', 'dns'].filter((field) => raw[field] !== undefined);
  return { ...Object.fromEntries(kept.map((field) => [field, raw[field]])), ipam };
}
