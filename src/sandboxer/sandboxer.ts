import type { PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import type { Any, ContainerRecord, Exit, SandboxRecord } from '../containerd/containerd.js';
import type { OciRuntime } from '../host/process/oci-runtime.js';
import type { Steps } from '../operation/steps.js';
import type { OciSpec } from '../spec/oci.js';
import type { Pod } from '../state/records.js';

/** The input of a sandboxer for one pod's sandbox. */
export interface SandboxPlan {
  readonly id: string;
  readonly runtime: ContainerRecord['runtime'];
  readonly runtimePath: string;
  readonly ociRuntime: OciRuntime | undefined;
  readonly snapshotter: string;
  /** How the snapshotter is to shift the owners of the pause image's files (see `remapLabels`). */
  readonly snapshotLabels: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The pause image: the chain id of its rootfs and its reference. */
  readonly image: { readonly chainId: string; readonly name: string };
  /** The OCI spec of the sandbox's own container. */
  readonly spec: OciSpec;
  /** io.cri-containerd.sandbox.metadata, before the network is known. */
  readonly metadata: Any;
  readonly lease: string;
  readonly config: PodSandboxConfig;
  /** "" on the host's network. */
  readonly netnsPath: string;
  /** The sandbox's record in the Sandbox Store. */
  readonly record: SandboxRecord;
}

export interface CreatedSandbox {
  /** The process that waits to be started; undefined when there is none before the start. */
  readonly pid: number | undefined;
  /** As containerd has recorded it; undefined when only the sandbox record has a time. */
  readonly createdAtNs?: bigint | undefined;
  /** See `StartedSandbox`. */
  readonly spec?: Any | undefined;
}

export interface StartedSandbox {
  /** 0: the sandbox has no process. */
  readonly pid: number;
  /** Endpoint of the task API for the pod's containers; undefined when containerd finds it by itself. */
  readonly endpoint?: SandboxEndpoint | undefined;
  /** A spec with namespaces and mounts for the pod's containers (see `controllerSpec`). Only a start returns it. */
  readonly spec?: Any | undefined;
}

/** `ttrpc+unix:///run/…` and the version of the task API behind it. */
export interface SandboxEndpoint {
  readonly address: string;
  readonly version: number;
}

export type SandboxState =
  | ({ readonly phase: 'running' } & StartedSandbox)
  /** Created, and never started. */
  | { readonly phase: 'created' }
  | { readonly phase: 'stopped' }
  | { readonly phase: 'unknown' };

export interface SandboxToStop {
  /** Whether the sandbox is known to have ended. */
  readonly hasEnded: boolean;
  readonly ociRuntime: OciRuntime | undefined;
}

/** Runs sandboxes. Every step has its undo; `stop` and `remove` succeed when there is nothing left to do. */
export interface Sandboxer {
  /** `pause`, `pinned`, or the name by which containerd knows a sandbox controller. */
  readonly name: string;
  /** Makes everything before the start, up to a process that waits to be started. */
  create(steps: Steps, plan: SandboxPlan): Promise<CreatedSandbox>;
  start(steps: Steps, id: string, created: CreatedSandbox): Promise<StartedSandbox>;
  /**
   * Kills the sandbox's process and deletes its task, and what the OCI runtime has of a task that was never finished.
   */
  stop(id: string, signal: AbortSignal, sandbox: SandboxToStop): Promise<void>;
  /** Removes what `create` has made, after `stop`. */
  remove(steps: Steps, id: string, snapshotter: string): Promise<void>;
  /** Passes on changed fields of the sandbox's record. */
  update(record: SandboxRecord, fields: readonly string[], signal: AbortSignal): Promise<void>;
  /** Returns `unknown` when there is nothing of that id. */
  state(sandbox: Pick<Pod, 'id' | 'config' | 'netnsPath'>, signal: AbortSignal): Promise<SandboxState>;
  /** Resolves when the sandbox has ended; NOT_FOUND when nothing of that id runs. */
  wait(id: string, signal: AbortSignal): Promise<Exit>;
}
