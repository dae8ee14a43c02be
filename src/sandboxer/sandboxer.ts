import type { Any, ContainerRecord } from '../containerd/containerd.js';
import type { Steps } from '../operation/steps.js';

/** What a sandboxer needs to run one pod's sandbox. */
export interface SandboxPlan {
  readonly id: string;
  readonly runtime: ContainerRecord['runtime'];
  readonly runtimePath: string;
  readonly snapshotter: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The pause image: the chain id of its rootfs and the reference it goes by. */
  readonly image: { readonly chainId: string; readonly name: string };
  /** The OCI spec of the sandbox's own container. */
  readonly spec: Any;
  /** io.cri-containerd.sandbox.metadata as it is known before the network is. */
  readonly metadata: Any;
  readonly lease: string;
}

export interface CreatedSandbox {
  /** The process that waits to be started. */
  readonly pid: number;
  /** As containerd has written it down, so that a restart of crid shows the same. */
  readonly createdAtMs: number;
}

/** How a sandbox is run. Every step has its undo; `stop` and `remove` succeed where there is nothing left to do. */
export interface Sandboxer {
  /** Makes all that does not depend on the pod's network, up to a process that waits to be started. */
  create(steps: Steps, plan: SandboxPlan): Promise<CreatedSandbox>;
  start(steps: Steps, id: string): Promise<void>;
  /** Kills the sandbox's process and takes its task away. */
  stop(id: string, signal: AbortSignal): Promise<void>;
  /** Removes what `create` has made, after `stop`. */
  remove(id: string, snapshotter: string, signal: AbortSignal): Promise<void>;
}
