import type { ContainerConfig, ContainerResources, PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { shortened } from '../base/shortened.js';
import type { Any } from '../containerd/containerd.js';
import type { CniResult } from '../network/network.js';
import type { UpdatedResources } from './stored-resources.js';

/** What crid remembers of a pod sandbox. Records are replaced whole, never changed in place. */
export interface Pod {
  /** 64 hex digits; also the id of the pause container, of its snapshot, of the sandbox record and of the lease. */
  readonly id: string;
  /** `name_namespace_uid_attempt` */
  readonly name: string;
  readonly config: PodSandboxConfig;
  /** As the caller named it; "" is the default handler. */
  readonly runtimeHandler: string;
  readonly runtime: { readonly name: string; readonly options?: Any | undefined };
  readonly snapshotter: string;
  readonly createdAtNs: bigint;
  /** "" on the host's network. */
  readonly netnsPath: string;
  /** What the network's ADD has made and DEL must take back; without `ips` there is no address to report any more. */
  readonly network: { readonly ips: readonly string[]; readonly result: CniResult } | undefined;
  readonly processLabel: string;
  /** Of its pause container, as its spec has it; "" when no spec is known. */
  readonly cgroupsPath: string;
  /** The reference of the pause image as it was resolved. */
  readonly image: string;
  /** Which sandboxer runs it; undefined: a pause container. */
  readonly sandboxer?: string | undefined;
  /** Where the sandboxer serves the tasks of the pod, when it says so. */
  readonly endpoint?: { readonly address: string; readonly version: number } | undefined;
  /** What UpdatePodSandboxResources has set last. */
  readonly updatedResources?: UpdatedResources | undefined;
  /** Its making was cut off: it is to be undone, and may have more than its record says. */
  readonly halfMade?: boolean | undefined;
  /**
   * A start of crid is about to undo the pod. It is not listed meanwhile: a kubelet that saw it would replace it by a
   * sandbox of the next attempt, instead of running the same one again.
   */
  readonly undoing?: boolean | undefined;
  readonly state: PodState;
}

export type PodState =
  | { readonly phase: 'ready'; readonly pid: number }
  /**
   * `released`: the network has been taken down and its namespace removed. `failedDetaches` counts the stops that
   * failed because the network would not go.
   */
  | { readonly phase: 'not-ready'; readonly released: boolean; readonly failedDetaches: number };

export interface Container {
  readonly id: string;
  /** `container_pod_namespace_uid_attempt` */
  readonly name: string;
  readonly podId: string;
  readonly config: ContainerConfig;
  /** The digest of the image's config: what CRI calls the image's id. */
  readonly imageId: string;
  /** Absolute; "" when there is none. */
  readonly logPath: string;
  /** What stops it, such as `SIGTERM`. */
  readonly stopSignal: string;
  readonly processLabel: string;
  readonly snapshotter: string;
  /** As its spec has it; "" leaves the choice to the runtime. */
  readonly cgroupsPath: string;
  /** The identity of its first process. */
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly createdAtNs: bigint;
  /** What UpdateContainerResources has set last, or what it was created with. */
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

/** What can happen to a container, whoever noticed it. */
export type ContainerEvent =
  | { readonly kind: 'started'; readonly pid: number; readonly startedAtNs: bigint }
  | { readonly kind: 'start-failed'; readonly atNs: bigint; readonly message: string }
  | { readonly kind: 'exited'; readonly atNs: bigint; readonly exitCode: number; readonly oomKilled: boolean }
  /** The task is gone and nobody saw how it ended. */
  | { readonly kind: 'lost'; readonly atNs: bigint };

/** The exit code of a container that could not be started, and of one whose end nobody saw. */
export const START_ERROR_EXIT_CODE = 128;
export const UNKNOWN_EXIT_CODE = 255;

/**
 * The one place where a container's state changes. An event that does not apply (a second exit, an exit that was
 * seen before the start was recorded) leaves the state as it is, but for an OOM that is noticed after the exit.
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

/** A process began no later than it ended, even if it was gone before its start was recorded. */
function startOf(state: ContainerState, endedAtNs: bigint): bigint {
  if (state.phase !== 'running' || state.startedAtNs > endedAtNs) return endedAtNs;
  return state.startedAtNs;
}
