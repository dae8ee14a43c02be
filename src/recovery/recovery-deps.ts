import type { ContainerDeps } from '../containers/container-deps.js';
import type { PodDeps } from '../pods/pod-deps.js';

export interface RecoverDeps {
  readonly pods: PodDeps;
  readonly containers: ContainerDeps;
  /** Whether containerd's own CRI plugin uses the same namespace: then nothing is swept. */
  readonly shared: boolean;
  /** Called for each leftover that was removed. */
  readonly onSwept?: (() => void) | undefined;
}

/** For the part of the start that runs in parallel with calls. */
export interface Beside {
  /** Resolves when calls are being served; rejects when crid stops. */
  readonly served: Promise<void>;
  /** Aborts when crid stops. */
  readonly closing: AbortSignal;
}

/** How long the start waits for a shim to report the state of its task, before a watch waits for it. */
export const TASK_TIMEOUT_MS = 10_000;
/** Time limit of each operation of the start. */
export const RECOVERY_LIMIT_MS = 10 * 60_000;
