import type { ContainerDeps } from '../containers/deps.js';
import type { PodDeps } from '../pods/deps.js';

export interface RecoverDeps {
  readonly pods: PodDeps;
  readonly containers: ContainerDeps;
  /** Whether containerd's own CRI plugin works in the same namespace: then nothing is swept. */
  readonly shared: boolean;
  /** Called for each leftover that was taken away. */
  readonly onSwept?: (() => void) | undefined;
}

/** The part of the start that goes on beside calls. */
export interface Beside {
  /** Resolves when calls are being served; rejects when crid stops. */
  readonly served: Promise<void>;
  /** Aborts when crid stops. */
  readonly closing: AbortSignal;
}

/** How long a shim is asked for the state of its task before a watch asks on. */
export const TASK_TIMEOUT_MS = 10_000;
/** The longest that one of the start's operations may take. */
export const RECOVERY_LIMIT_MS = 10 * 60_000;
