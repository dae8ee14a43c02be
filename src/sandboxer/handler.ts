import type { ContainerRecord } from '../containerd/containerd.js';
import type { OciRuntime } from '../host/oci-runtime.js';
import type { Network } from '../network/network.js';
import type { SpecHandlerOptions } from '../spec/types.js';
import type { Pod } from '../state/records.js';
import type { Sandboxer } from './sandboxer.js';

/** A runtime handler (RuntimeClass) as the operations use it: everything that its configuration stands for. */
export interface Handler {
  readonly name: string;
  readonly runtime: ContainerRecord['runtime'];
  /** "" lets containerd find the shim by the runtime's name. */
  readonly runtimePath: string;
  readonly snapshotter: string;
  readonly sandboxer: Sandboxer;
  readonly network: Network;
  /** Whether runtime, snapshotter and kernel can run pods with user namespaces of their own. */
  readonly userNamespaces: boolean;
  readonly spec: SpecHandlerOptions;
  /** undefined where the shim is not one of runc's kind. */
  readonly ociRuntime: OciRuntime | undefined;
}

export interface Handlers {
  /** The handler of that name, "" for the default one; INVALID_ARGUMENT (`runtime_handler`) when none is configured. */
  get(name: string): Handler;
  /**
   * That of a pod which is there already, with the sandboxer that runs it and the cgroup driver that its runtime was
   * given: the default one where the configuration has lost its own, so that it can still be removed.
   */
  of(pod: Pick<Pod, 'runtimeHandler' | 'runtime' | 'sandboxer'>): Handler;
}
