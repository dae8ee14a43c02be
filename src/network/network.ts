/** The interface of the network module for pods: attach, detach, status. */

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostIP: string;
}

/** The pod's data for its network: the source of CNI_ARGS and the capability arguments. */
export interface NetworkPod {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly netnsPath: string;
  readonly cgroupParent: string;
  readonly portMappings: readonly PortMapping[];
  readonly dns?:
    | { readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[] }
    | undefined;
}

/**
 * The JSON that containerd's CRI keeps as `CNIResult` (go-cni's Result): `Interfaces` by name with `IPConfigs` (`IP`,
 * `Gateway`), `Mac`, `Sandbox`; `DNS`; `Routes`. It is plain data, so that each server can read the other's.
 */
export interface CniResult {
  readonly Interfaces: Readonly<
    Record<
      string,
      {
        readonly IPConfigs: readonly { readonly IP: string; readonly Gateway: string }[] | null;
        readonly Mac: string;
        readonly Sandbox: string;
        readonly PciID?: string;
        readonly SocketPath?: string;
      }
    >
  >;
  readonly DNS:
    | readonly {
        readonly nameservers?: readonly string[];
        readonly domain?: string;
        readonly search?: readonly string[];
        readonly options?: readonly string[];
      }[]
    | null;
  readonly Routes:
    | readonly {
        readonly dst: string;
        readonly gw?: string;
        readonly mtu?: number;
        readonly advmss?: number;
        readonly priority?: number;
        readonly table?: number;
        readonly scope?: number;
      }[]
    | null;
}

export interface Attachment {
  readonly result: CniResult;
  /** The pod's addresses, the preferred one first (ip_pref). */
  readonly ips: readonly string[];
}

export interface NetworkStatus {
  readonly ready: boolean;
  /**
   * Why the network is not ready, for Status; names the cause ("no network config found in /etc/cni/net.d: cni plugin
   * not initialized").
   */
  readonly message: string;
  readonly lastLoadError: string;
  /** `cniconfig` of `crictl info`. */
  readonly config: unknown;
}

/** A pod, with the names of those interfaces of its network that are known. */
export interface AttachedPod {
  readonly id: string;
  readonly interfaces: readonly string[];
}

/** The pods of this crid, for the garbage collection. */
export interface KnownPods {
  /** Returns the pods that are being started, and those whose network has not been deleted. */
  attached(): readonly AttachedPod[];
  /** Whether the id may be that of such a pod, or of a pod whose record cannot be read. */
  mayBeAttached(id: string): boolean;
}

/** A CNI configuration directory: the default one, or the `cni_conf_dir` of a runtime handler. */
export interface Network {
  /**
   * Brings up loopback and runs ADD of every network. On an error, which names the failed plugin, runs DEL before it
   * throws; what DEL could not delete is left to detach.
   */
  attach(pod: NetworkPod, signal: AbortSignal): Promise<Attachment>;
  /**
   * Runs DEL of every network, last first, with the result and configuration in libcni's cache. Succeeds when there is
   * nothing to undo or the netns is gone.
   */
  detach(pod: NetworkPod, signal: AbortSignal): Promise<void>;
  /** Checks the configuration files for changes. Runs the STATUS verb of the plugins at most every 5 s. */
  status(): Promise<NetworkStatus>;
  /**
   * Releases what the networks hold for containers that no longer exist: DEL of stale attachments, then the GC verb of
   * the plugins. The latter waits for running ADDs, at most 30 s, and holds up new ones. Returns false when it did not
   * run because of them. Failures of plugins are logged.
   */
  collectGarbage(pods: KnownPods, signal: AbortSignal): Promise<boolean>;
  /** Returns what the pod waits for now, for the caller's error and `crid why`: "plugin bridge (ADD, 28 s)". */
  waitingOn(podId: string): string | undefined;
  close(): void;
}
