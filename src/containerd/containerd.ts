/**
 * The interface of this module: plain records and one port per service of containerd, without generated clients, gRPC
 * types and headers. Every failure is a CriError with containerd's code (NOT_FOUND, ALREADY_EXISTS, UNAVAILABLE, …) and
 * the method in its message ("containers.get: container "x" not found").
 */

/** A google.protobuf.Any. Type URLs of containerd carry no `type.googleapis.com/` prefix. */
export interface Any {
  readonly type_url: string;
  readonly value: Uint8Array;
}

export interface CallOptions {
  /** Ends the call early with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
  /** Timeout of this call; the client's default when unset. 0 means no timeout (Wait, streams). */
  readonly timeoutMs?: number | undefined;
  /** The lease of the resources that this call creates (header `containerd-lease`). */
  readonly lease?: string | undefined;
}

export type Labels = Readonly<Record<string, string>>;

/** containerd.services.containers.v1.Container */
export interface ContainerRecord {
  readonly id: string;
  readonly labels: Labels;
  readonly image: string;
  readonly runtime: { readonly name: string; readonly options?: Any | undefined };
  readonly spec?: Any | undefined;
  readonly snapshotter: string;
  readonly snapshotKey: string;
  /** Nanoseconds since the epoch; set by containerd. */
  readonly createdAtNs?: bigint;
  readonly extensions: Readonly<Record<string, Any>>;
  /** The sandbox that the container belongs to ("" for none). */
  readonly sandbox: string;
}

export interface Containers {
  get(id: string, options?: CallOptions): Promise<ContainerRecord>;
  /** filters: containerd's filter syntax, ORed, such as `labels."io.cri-containerd.kind"==container`. */
  list(filters: readonly string[], options?: CallOptions): Promise<ContainerRecord[]>;
  create(record: ContainerRecord, options?: CallOptions): Promise<ContainerRecord>;
  /** Changes only the named fields: `labels.x`, `extensions.x`, `spec`. */
  update(
    record: Partial<ContainerRecord> & { id: string },
    fields: readonly string[],
    options?: CallOptions,
  ): Promise<ContainerRecord>;
  /** Succeeds when it is already gone. */
  delete(id: string, options?: CallOptions): Promise<void>;
}

/** containerd.v1.types.Mount */
export interface SnapshotMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

export type TaskStatus = 'unknown' | 'created' | 'running' | 'stopped' | 'paused' | 'pausing';

export interface Task {
  readonly containerId: string;
  readonly pid: number;
  readonly status: TaskStatus;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
  readonly exitStatus: number;
  /** Nanoseconds since the epoch; 0n while it runs. */
  readonly exitedAtNs: bigint;
}

export interface Exit {
  readonly exitStatus: number;
  /** Nanoseconds since the epoch. */
  readonly exitedAtNs: bigint;
}

export interface TaskIo {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** containerd.services.tasks.v1.Tasks. Without `execId`, a call is about the container's own process. */
export interface Tasks {
  create(
    request: {
      containerId: string;
      rootfs: readonly SnapshotMount[];
      io: TaskIo;
      options?: Any | undefined;
      runtimePath?: string | undefined;
      /** Where a sandbox controller serves the task; containerd finds the shim by itself when unset. */
      endpoint?: { readonly address: string; readonly version: number } | undefined;
    },
    options?: CallOptions,
  ): Promise<{ pid: number }>;
  start(target: { containerId: string; execId?: string | undefined }, options?: CallOptions): Promise<{ pid: number }>;
  /** Deletes a stopped task. The shim exits with its last task. Returns undefined when the task is already gone. */
  delete(containerId: string, options?: CallOptions): Promise<Exit | undefined>;
  deleteExec(target: { containerId: string; execId: string }, options?: CallOptions): Promise<Exit | undefined>;
  /** The status is never `unknown`: UNAVAILABLE if the shim does not respond within `timeoutMs` (default 10 s). */
  get(target: { containerId: string; execId?: string | undefined }, options?: CallOptions): Promise<Task>;
  list(options?: CallOptions): Promise<Task[]>;
  /** `all` sends the signal to every process of the container. NOT_FOUND when the process has ended. */
  kill(
    target: { containerId: string; execId?: string | undefined; signal: number; all?: boolean },
    options?: CallOptions,
  ): Promise<void>;
  /** `spec`: the OCI process as JSON in an Any. */
  exec(request: { containerId: string; execId: string; io: TaskIo; spec: Any }, options?: CallOptions): Promise<void>;
  resizePty(
    target: { containerId: string; execId?: string | undefined; width: number; height: number },
    options?: CallOptions,
  ): Promise<void>;
  closeIo(target: { containerId: string; execId?: string | undefined }, options?: CallOptions): Promise<void>;
  update(request: { containerId: string; resources: Any; annotations?: Labels }, options?: CallOptions): Promise<void>;
  /** Returns when the process has exited. It has no default timeout. */
  wait(target: { containerId: string; execId?: string | undefined }, options?: CallOptions): Promise<Exit>;
  pids(containerId: string, options?: CallOptions): Promise<number[]>;
  /** Freezes every process of the container until `resume`. */
  pause(containerId: string, options?: CallOptions): Promise<void>;
  /** Succeeds when the task is already gone. */
  resume(containerId: string, options?: CallOptions): Promise<void>;
  /** Writes the memory of the container's processes to files, with CRIU. The task keeps running. */
  checkpoint(request: { containerId: string; options?: Any | undefined }, options?: CallOptions): Promise<void>;
  metrics(
    filters: readonly string[],
    options?: CallOptions,
  ): Promise<{ id: string; data: Any | undefined; timestampNs: bigint }[]>;
}

/** containerd.services.snapshots.v1.Snapshots, of one snapshotter. */
export interface Snapshots {
  /** Creates a writable snapshot over `parent` (a chain id). ALREADY_EXISTS, NOT_FOUND (parent missing). */
  prepare(key: string, parent: string, labels?: Labels, options?: CallOptions): Promise<SnapshotMount[]>;
  view(key: string, parent: string, labels?: Labels, options?: CallOptions): Promise<SnapshotMount[]>;
  mounts(key: string, options?: CallOptions): Promise<SnapshotMount[]>;
  stat(
    key: string,
    options?: CallOptions,
  ): Promise<{ name: string; parent: string; kind: 'view' | 'active' | 'committed' | 'unknown'; labels: Labels }>;
  list(
    filters: readonly string[],
    options?: CallOptions,
  ): Promise<{ name: string; parent: string; kind: string; labels: Labels }[]>;
  /** Commits a writable snapshot as the read-only snapshot `name`. ALREADY_EXISTS when the name is taken. */
  commit(name: string, key: string, labels?: Labels, options?: CallOptions): Promise<void>;
  /** Succeeds when it is already gone. */
  remove(key: string, options?: CallOptions): Promise<void>;
  usage(key: string, options?: CallOptions): Promise<{ bytes: bigint; inodes: bigint }>;
}

/** containerd.types.ActivationInfo */
export interface Activation {
  readonly name: string;
  /** The mount points of the mounts that the mount manager has made, in the order of the request. */
  readonly mountPoints: readonly string[];
  /** The mounts that are left to make. */
  readonly system: readonly SnapshotMount[];
}

/** containerd.services.mounts.v1.Mounts, the mount manager. UNIMPLEMENTED before containerd 2.2. */
export interface Mounts {
  /**
   * Makes those of a snapshot's mounts that the mount system call cannot make. `temporary`: makes all of them.
   * UNIMPLEMENTED when no mount needs it; ALREADY_EXISTS when the name is taken.
   */
  activate(
    request: { name: string; mounts: readonly SnapshotMount[]; labels: Labels; temporary: boolean },
    options?: CallOptions,
  ): Promise<Activation>;
  /** Unmounts what `activate` has mounted. Succeeds when it is already gone. */
  deactivate(name: string, options?: CallOptions): Promise<void>;
  list(options?: CallOptions): Promise<Activation[]>;
}

/** containerd.types.Descriptor */
export interface Descriptor {
  readonly media_type: string;
  readonly digest: string;
  readonly size: bigint;
  readonly annotations: Labels;
}

export interface ImageRecord {
  readonly name: string;
  readonly labels: Labels;
  readonly target: Descriptor;
}

export interface Images {
  get(name: string, options?: CallOptions): Promise<ImageRecord>;
  list(filters: readonly string[], options?: CallOptions): Promise<ImageRecord[]>;
  create(image: ImageRecord, options?: CallOptions): Promise<ImageRecord>;
  update(image: ImageRecord, fields: readonly string[], options?: CallOptions): Promise<ImageRecord>;
  /** `sync`: returns once the garbage collector has run. Succeeds when it is already gone. */
  delete(name: string, sync: boolean, options?: CallOptions): Promise<void>;
}

export interface Content {
  /** Returns the whole blob. RESOURCE_EXHAUSTED if it is larger than `maxBytes`. */
  read(digest: string, maxBytes: number, options?: CallOptions): Promise<Uint8Array>;
  /** Returns a blob of any size in chunks. */
  stream(digest: string, options?: CallOptions): AsyncIterable<Uint8Array>;
  info(digest: string, options?: CallOptions): Promise<{ digest: string; size: bigint; labels: Labels }>;
  /** Sets these labels of the blob; others stay. */
  label(digest: string, labels: Labels, options?: CallOptions): Promise<void>;
}

/** containerd.services.diff.v1.Diff */
export interface Diff {
  /**
   * Unpacks a layer, compressed or not, into the mounts, and syncs the file system if `syncFs` is set. Returns the
   * digest of its plain tar, the diff id.
   */
  apply(
    request: { layer: Descriptor; mounts: readonly SnapshotMount[]; syncFs?: boolean },
    options?: CallOptions,
  ): Promise<string>;
  /** Creates a tar blob of the changes from the older to the newer mounts; `ref` names the upload. */
  create(
    request: { older: readonly SnapshotMount[]; newer: readonly SnapshotMount[]; ref: string },
    options?: CallOptions,
  ): Promise<Descriptor>;
}

export interface Lease {
  readonly id: string;
  readonly createdAtMs: number;
  readonly labels: Labels;
}

export interface Leases {
  /** ALREADY_EXISTS when a lease has that id. */
  create(id: string, labels: Labels, options?: CallOptions): Promise<Lease>;
  /** Succeeds when it is already gone. */
  delete(id: string, options?: CallOptions & { sync?: boolean }): Promise<void>;
  list(filters: readonly string[], options?: CallOptions): Promise<Lease[]>;
  /** The resources that the lease protects; `type`: such as `snapshots/overlayfs`, `content`. */
  resources(id: string, options?: CallOptions): Promise<{ id: string; type: string }[]>;
  addResource(id: string, resource: { id: string; type: string }, options?: CallOptions): Promise<void>;
}

export interface RegistryAuth {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly identityToken?: string | undefined;
}

export interface PullProgress {
  readonly event: string;
  /** The layer's or manifest's name, from the transfer service. */
  readonly name: string;
  readonly parents: readonly string[];
  readonly progress: bigint;
  readonly total: bigint;
}

export interface PullRequest {
  /** A full reference, with a tag (`docker.io/library/busybox:latest`) or a digest. */
  readonly reference: string;
  /** The name of the image record; the reference by default. */
  readonly record?: string;
  /** Returns the credentials for a registry host; undefined if there are none. */
  readonly credentials?: ((host: string) => RegistryAuth | undefined) | undefined;
  /** The `certs.d` directory ("" for none). */
  readonly hostDir: string;
  readonly headers: Readonly<Record<string, string>>;
  /** If undefined, all layers are fetched and none is unpacked. */
  readonly snapshotter: string | undefined;
  readonly labels: Labels;
  readonly onProgress: (progress: PullProgress) => void;
}

/** containerd.services.transfer.v1.Transfer with its streams (containerd.services.streaming.v1). */
export interface Transfer {
  /**
   * Pulls and unpacks; the image record exists when it returns. Returns the record's target; undefined if containerd
   * (before 2.2) does not report it. Without a lease in the options, containerd itself keeps the content until then.
   */
  pull(request: PullRequest, options?: CallOptions): Promise<Descriptor | undefined>;
}

/** containerd.types.Sandbox */
export interface SandboxRecord {
  readonly id: string;
  readonly runtime: { readonly name: string; readonly options?: Any | undefined };
  readonly spec?: Any | undefined;
  readonly labels: Labels;
  readonly extensions: Readonly<Record<string, Any>>;
  readonly sandboxer: string;
  readonly createdAtNs?: bigint;
}

export interface SandboxStore {
  get(id: string, options?: CallOptions): Promise<SandboxRecord>;
  list(filters: readonly string[], options?: CallOptions): Promise<SandboxRecord[]>;
  create(record: SandboxRecord, options?: CallOptions): Promise<SandboxRecord>;
  /** fields such as `extensions.metadata`, `labels.x`. */
  update(record: SandboxRecord, fields: readonly string[], options?: CallOptions): Promise<SandboxRecord>;
  /** Succeeds when it is already gone. */
  delete(id: string, options?: CallOptions): Promise<void>;
}

export interface SandboxStatus {
  readonly pid: number;
  /** `SANDBOX_READY` or `SANDBOX_NOTREADY`, from the controller. */
  readonly state: string;
  readonly info: Readonly<Record<string, string>>;
  readonly createdAtNs: bigint;
  readonly exitedAtNs: bigint;
  /** The address that serves the pod's tasks; "" if containerd finds it by itself. */
  readonly address?: string;
  readonly version?: number;
}

/** containerd.services.sandbox.v1.Controller, addressed to one sandboxer by name. */
export interface SandboxController {
  create(
    sandboxer: string,
    request: {
      sandbox: SandboxRecord;
      rootfs: readonly SnapshotMount[];
      options?: Any | undefined;
      netnsPath: string;
      annotations: Labels;
    },
    options?: CallOptions,
  ): Promise<void>;
  start(
    sandboxer: string,
    id: string,
    options?: CallOptions,
  ): Promise<{
    pid: number;
    createdAtNs: bigint;
    labels: Labels;
    address: string;
    version: number;
    /** An OCI spec with the namespaces and mounts that the containers of the sandbox must use. */
    spec?: Any | undefined;
  }>;
  wait(sandboxer: string, id: string, options?: CallOptions): Promise<Exit>;
  status(sandboxer: string, id: string, verbose: boolean, options?: CallOptions): Promise<SandboxStatus>;
  stop(sandboxer: string, id: string, timeoutSeconds: number, options?: CallOptions): Promise<void>;
  shutdown(sandboxer: string, id: string, options?: CallOptions): Promise<void>;
  update(sandboxer: string, sandbox: SandboxRecord, fields: readonly string[], options?: CallOptions): Promise<void>;
}

/** The events that crid reads from containerd. The subscription filters out all other topics. */
export type ContainerdEvent =
  | {
      readonly kind: 'task-exit';
      readonly containerId: string;
      readonly execId: string;
      readonly pid: number;
      readonly exit: Exit;
    }
  | { readonly kind: 'task-oom'; readonly containerId: string }
  | { readonly kind: 'image-changed'; readonly name: string; readonly deleted: boolean };

export interface Events {
  /**
   * Subscribes until `signal` aborts, and again each time containerd comes back. `onConnected` runs when a subscription
   * has taken effect and before its events, so that the subscriber can read the changes it missed. Events are queued
   * meanwhile (bounded).
   */
  subscribe(
    handlers: {
      onConnected: () => Promise<void>;
      onEvent: (event: ContainerdEvent) => void;
      onLost: (error: Error) => void;
    },
    signal: AbortSignal,
  ): void;
}

export interface PluginInfo {
  readonly type: string;
  readonly id: string;
  readonly exports: Labels;
  readonly capabilities: readonly string[];
  /** "" for a loaded plugin, otherwise the reason why it is not loaded. */
  readonly initError: string;
  /** gRPC code of `initError`; 0 for a loaded plugin. */
  readonly initCode: number;
}

export interface Introspection {
  version(options?: CallOptions): Promise<{ version: string; revision: string }>;
  plugins(filters: readonly string[], options?: CallOptions): Promise<PluginInfo[]>;
  server(options?: CallOptions): Promise<{ uuid: string; deprecations: { id: string; message: string }[] }>;
  /**
   * Returns the features of a runtime as parsed JSON; undefined if the runtime reports none
   * (containerd.services.introspection.v1 PluginInfo of `io.containerd.runtime.v2.task`).
   */
  runtimeFeatures(
    runtime: { name: string; path?: string; options?: Any | undefined },
    options?: CallOptions,
  ): Promise<unknown>;
}

/** All services of containerd that crid uses. They share one gRPC channel. */
/** The services that fetch and keep content. */
export interface ContentStores {
  readonly images: Images;
  readonly content: Content;
  readonly leases: Leases;
  readonly transfer: Transfer;
}

export interface Containerd extends ContentStores {
  readonly address: string;
  readonly namespace: string;
  readonly containers: Containers;
  readonly tasks: Tasks;
  readonly diff: Diff;
  readonly sandboxes: SandboxStore;
  readonly controller: SandboxController;
  readonly events: Events;
  readonly introspection: Introspection;
  readonly mounts: Mounts;
  snapshots(snapshotter: string): Snapshots;
  /** The services of another namespace, on the same connection. containerd creates it with its first record. */
  ofNamespace(namespace: string): ContentStores;
  close(): void;
}
