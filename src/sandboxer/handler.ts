import type { PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import type { ContainerRecord } from '../containerd/containerd.js';
import type { OciRuntime } from '../host/process/oci-runtime.js';
import type { Network } from '../network/network.js';
import type { SpecHandlerOptions } from '../spec/types.js';
import type { Pod } from '../state/records.js';
import type { Sandboxer } from './sandboxer.js';

/** A runtime handler (RuntimeClass), with everything that its configuration stands for. */
export interface Handler {
  readonly name: string;
  readonly runtime: ContainerRecord['runtime'];
  /** "" lets containerd find the shim by the runtime's name. */
  readonly runtimePath: string;
  readonly snapshotter: string;
  readonly sandboxer: Sandboxer;
  /** Whether a run pulls the pause image when it is not on the node. */
  readonly pullsPauseImage: boolean;
  readonly network: Network;
  /** Whether runtime, snapshotter and kernel can run pods with user namespaces of their own. */
  readonly userNamespaces: boolean;
  readonly spec: SpecHandlerOptions;
  /** Undefined unless the shim is runc's (`io.containerd.runc.v2`). */
  readonly ociRuntime: OciRuntime | undefined;
}

export interface Handlers {
  /**
   * Returns the handler of that name, "" for the default one; INVALID_ARGUMENT (`runtime_handler`) when none is
   * configured.
   */
  get(name: string): Handler;
  /**
   * Returns the handler for a new pod. A pod that shares its process namespace needs a process that reaps: its sandbox
   * is a pause container, also where the handler's sandboxes have no process.
   */
  forPod(name: string, config: PodSandboxConfig): Handler;
  /**
   * Returns the handler of an existing pod, with the sandboxer that runs it and the cgroup driver that its runtime was
   * given. If the configuration has lost the pod's handler it is the default one, so that the pod can still be removed.
   */
  of(pod: Pick<Pod, 'runtimeHandler' | 'runtime' | 'sandboxer'>): Handler;
}
