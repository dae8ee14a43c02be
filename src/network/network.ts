/** What the pods know of the network: attach, detach, is it ready. */

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostIP: string;
}

/** What a pod brings to its network; from it come CNI_ARGS and the capability arguments. */
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
 * The JSON that containerd's CRI keeps as `CNIResult` (go-cni's Result): `Interfaces` by name with `IPConfigs`
 * (`IP`, `Gateway`), `Mac`, `Sandbox`; `DNS`; `Routes`. Kept as plain data so that both servers read each other's.
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
  /** Why not, for Status: the culprit by name ("no network config found in /etc/cni/net.d: cni plugin not initialized"). */
  readonly message: string;
  readonly lastLoadError: string;
  /** What `crictl info` shows as `cniconfig`. */
  readonly config: unknown;
}

/** One set of CNI configurations: the default one, or that of a runtime handler with its own `cni_conf_dir`. */
export interface Network {
  /** loopback up, then every network's ADD. What fails was already rolled back (DEL) when it throws. Names the plugin that failed. */
  attach(pod: NetworkPod, signal: AbortSignal): Promise<Attachment>;
  /** DEL of every network, last first, from libcni's cached result and config; succeeds when there is nothing to undo or the netns is gone. */
  detach(pod: NetworkPod, signal: AbortSignal): Promise<void>;
  /** From memory; the STATUS verb of the plugins is asked at most every few seconds. */
  status(): Promise<NetworkStatus>;
  /** What is being waited on now, for the caller's error and `crid why`: "plugin bridge (ADD, 28 s)". */
  waitingOn(podId: string): string | undefined;
  close(): void;
}
