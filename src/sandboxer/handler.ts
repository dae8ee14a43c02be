import type { ContainerRecord } from '../containerd/containerd.js';
import type { Network } from '../network/network.js';
import type { SpecHandlerOptions } from '../spec/types.js';
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
  readonly spec: SpecHandlerOptions;
}

/** The handler of that name, "" for the default one; INVALID_ARGUMENT (`runtime_handler`) when none is configured. */
export type Handlers = (name: string) => Handler;
