import type { ContainerConfig, ContainerResources, PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { shortened } from '../base/shortened.js';
import type { Any, Exit } from '../containerd/containerd.js';
import type { CniResult } from '../network/network.js';
import type { UpdatedResources } from './stored-resources.js';

/** crid's record of a pod sandbox. Records are replaced as a whole, never changed in place. */
export interface Pod {
  /** 64 hex digits; also the id of the pause container, of its snapshot, of the sandbox record and of the lease. */
  readonly id: string;
  /** `name_namespace_uid_attempt` */
  readonly name: string;
  readonly config: PodSandboxConfig;
  /** The `runtime_handler` of the request; "" is the default handler. */
  readonly runtimeHandler: string;
  readonly runtime: { readonly name: string; readonly options?: Any | undefined };
  readonly snapshotter: string;
  readonly createdAtNs: bigint;
  /** The path of the network namespace; "" for a pod on the host's network. */
  readonly netnsPath: string;
  /** The result of CNI ADD, which DEL must undo. `ips` is empty when the pod no longer reports an address. */
  readonly network: { readonly ips: readonly string[]; readonly result: CniResult } | undefined;
  readonly processLabel: string;
  /** The cgroup path in the sandbox's spec; "" when there is no spec. */
  readonly cgroupsPath: string;
  /** The resolved reference of the pause image; "" for a pod without one. */
  readonly image: string;
  /** `pinned` for a pod without a sandbox process, else the sandbox controller's name; undefined: a pause container. */
  readonly sandboxer?: string | undefined;
  /** Where the sandbox controller serves the pod's tasks, if it reports an address. */
  readonly endpoint?: { readonly address: string; readonly version: number } | undefined;
  /** The spec that the sandboxer returned for the pod's containers; see `controllerSpec`. */
  readonly sandboxSpec?: Any | undefined;
  /** The resources of the last UpdatePodSandboxResources. */
  readonly updatedResources?: UpdatedResources | undefined;
  /** RunPodSandbox did not complete: the pod is to be undone, and may own more than its record names. */
  readonly halfMade?: boolean | undefined;
  /**
   * The starting crid is about to undo the pod. The pod is not listed meanwhile: a kubelet that saw it would create a
   * sandbox with the next attempt number instead of running the same one again.
   */
  readonly undoing?: boolean | undefined;
  readonly state: PodState;
}

export type PodState =
  /** `pid` is 0 for a sandbox without a process, and while crid does not know it yet. */
  | { readonly phase: 'ready'; readonly pid: number }
  /**
   * `released`: the network has been deleted and its namespace removed. `failedDetaches` counts the stops that failed
   * because the network could not be deleted.
   */
  | { readonly phase: 'not-ready'; readonly released: boolean; readonly failedDetaches: number };

export interface Container {
  readonly id: string;
  /** `container_pod_namespace_uid_attempt` */
  readonly name: string;
  readonly podId: string;
  readonly config: ContainerConfig;
  /** The digest of the image's config: the CRI image id. */
  readonly imageId: string;
  /** The target and the name of the image's record at the creation; "" when the container's record is older. */
  readonly imageDigest: string;
  readonly imageName: string;
  /** An absolute path; "" when the container has no log. */
  readonly logPath: string;
  /** The signal that stops the container, such as `SIGTERM`. */
  readonly stopSignal: string;
  readonly processLabel: string;
  readonly snapshotter: string;
  /** The cgroup path in the container's spec; "" leaves the choice to the runtime. */
  readonly cgroupsPath: string;
  /** The user of the container's init process. */
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly createdAtNs: bigint;
  /** The resources of the last UpdateContainerResources, else those of CreateContainer. */
  readonly resources: ContainerResources | undefined;
  readonly state: ContainerState;
}

export type ContainerState =
  | { readonly phase: 'created' }
  | { readonly phase: 'running'; readonly pid: number; readonly startedAtNs: bigint }
  | {
      readonly phase: 'exited';
      readonly startedAtNs: bigint;
      readonly finishedAtNs: bigint;
      readonly exitCode: number;
      readonly reason: string;
      readonly message: string;
    };

/** An event in the life of a container, from any source. */
export type ContainerEvent =
  | { readonly kind: 'started'; readonly pid: number; readonly startedAtNs: bigint }
  | { readonly kind: 'start-failed'; readonly atNs: bigint; readonly message: string }
  | { readonly kind: 'exited'; readonly atNs: bigint; readonly exitCode: number; readonly oomKilled: boolean }
  /** The task is gone and its exit status is unknown. */
  | { readonly kind: 'lost'; readonly atNs: bigint };

/** Returns the event of a task that has ended; `exit` is undefined when its exit status is unknown. */
export const endOf = (exit: Exit | undefined, nowNs: bigint, oomKilled = false): ContainerEvent =>
  exit
    ? { kind: 'exited', atNs: exit.exitedAtNs || nowNs, exitCode: exit.exitStatus, oomKilled }
    : { kind: 'lost', atNs: nowNs };

/** The exit codes of a container that could not be started, and of one whose exit status is unknown. */
const START_ERROR_EXIT_CODE = 128;
export const UNKNOWN_EXIT_CODE = 255;

/**
 * Applies an event to a container's state; nothing else changes the state. An event that does not apply (a second exit,
 * an exit that was seen before the start was recorded) returns the state unchanged, except that an OOM kill noticed
 * after the exit changes the reason.
 */
export function transition(state: ContainerState, event: ContainerEvent): ContainerState {
  switch (event.kind) {
    case 'started':
      return state.phase === 'created' ? { phase: 'running', pid: event.pid, startedAtNs: event.startedAtNs } : state;
    case 'start-failed':
      if (state.phase === 'exited') return state;
      return {
        phase: 'exited',
        startedAtNs: startOf(state, event.atNs),
        finishedAtNs: event.atNs,
        exitCode: START_ERROR_EXIT_CODE,
        reason: 'StartError',
        message: shortened(event.message),
      };
    case 'exited':
      if (state.phase === 'exited') {
        return event.oomKilled && state.reason === 'Error' ? { ...state, reason: 'OOMKilled' } : state;
      }
      return {
        phase: 'exited',
        startedAtNs: startOf(state, event.atNs),
        finishedAtNs: event.atNs,
        exitCode: event.exitCode,
        reason: event.oomKilled ? 'OOMKilled' : event.exitCode === 0 ? 'Completed' : 'Error',
        message: '',
      };
    case 'lost':
      if (state.phase === 'exited') return state;
      return {
        phase: 'exited',
        startedAtNs: startOf(state, event.atNs),
        finishedAtNs: event.atNs,
        exitCode: UNKNOWN_EXIT_CODE,
        reason: 'Unknown',
        message: '',
      };
  }
}

/** Returns a start that is no later than the end, also when the process ended before its start was recorded. */
function startOf(state: ContainerState, endedAtNs: bigint): bigint {
  if (state.phase !== 'running' || state.startedAtNs > endedAtNs) return endedAtNs;
  return state.startedAtNs;
}
