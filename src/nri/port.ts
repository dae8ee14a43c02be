import type {
  Container,
  CreateContainerRequest,
  CreateContainerResponse,
  PluginInstance,
  PodSandbox,
  PostCreateContainerRequest,
  PostCreateContainerResponse,
  PostStartContainerRequest,
  PostStartContainerResponse,
  PostUpdateContainerRequest,
  PostUpdateContainerResponse,
  PostUpdatePodSandboxRequest,
  PostUpdatePodSandboxResponse,
  RemoveContainerRequest,
  RemoveContainerResponse,
  RemovePodSandboxRequest,
  RemovePodSandboxResponse,
  RunPodSandboxRequest,
  RunPodSandboxResponse,
  StartContainerRequest,
  StartContainerResponse,
  StopContainerRequest,
  StopContainerResponse,
  StopPodSandboxRequest,
  StopPodSandboxResponse,
  UpdateContainerRequest,
  UpdateContainerResponse,
  UpdatePodSandboxRequest,
  UpdatePodSandboxResponse,
  ValidateContainerAdjustmentRequest,
  ValidateContainerAdjustmentResponse,
} from '../../generated/nri/v1alpha1/api.js';

/** The calls of the service Plugin that an operation makes, with their messages. */
export interface PluginCalls {
  RunPodSandbox: [RunPodSandboxRequest, RunPodSandboxResponse];
  UpdatePodSandbox: [UpdatePodSandboxRequest, UpdatePodSandboxResponse];
  PostUpdatePodSandbox: [PostUpdatePodSandboxRequest, PostUpdatePodSandboxResponse];
  StopPodSandbox: [StopPodSandboxRequest, StopPodSandboxResponse];
  RemovePodSandbox: [RemovePodSandboxRequest, RemovePodSandboxResponse];
  CreateContainer: [CreateContainerRequest, CreateContainerResponse];
  PostCreateContainer: [PostCreateContainerRequest, PostCreateContainerResponse];
  StartContainer: [StartContainerRequest, StartContainerResponse];
  PostStartContainer: [PostStartContainerRequest, PostStartContainerResponse];
  UpdateContainer: [UpdateContainerRequest, UpdateContainerResponse];
  PostUpdateContainer: [PostUpdateContainerRequest, PostUpdateContainerResponse];
  StopContainer: [StopContainerRequest, StopContainerResponse];
  RemoveContainer: [RemoveContainerRequest, RemoveContainerResponse];
  ValidateContainerAdjustment: [ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse];
}

export type PluginCall = keyof PluginCalls;

/** The plugins, as the operations see them. The service implements this. */
export interface Plugins {
  /** Whether a plugin is registered that wants this call, or one must be waited for. Costs nothing without plugins. */
  wants(call: PluginCall): boolean;
  /**
   * Makes one call to each plugin that wants it, in the order of their indexes, with the pod's turn: calls about one
   * pod never run side by side, and none runs while a plugin is told the state of the node. Only for
   * ValidateContainerAdjustment, the Post and the Remove calls are plugins called at the same time. Rejects when a
   * plugin answers with an error, or when its failure fails the request, and with DEADLINE_EXCEEDED when a plugin takes
   * longer than the caller has left. A plugin that is lost after it was chosen has failed.
   */
  ask<C extends PluginCall>(call: C, about: About<C>): Promise<void>;
  /**
   * Announces a pod or a container before plugins are asked about it for the first time. Until it is settled, a plugin
   * that registers gets it with the state of the node: it was not asked, and the state does not have it yet.
   */
  creating(subject: Subject): void;
  /** The creation has ended: the state has the pod or the container, or it is gone. */
  settled(id: string): void;
  /** The plugins of this moment, for a later `ask` of the same request. */
  snapshot(): Snapshot;
  /** Returns the registered plugins that do not want this call. */
  others(call: PluginCall): PluginInstance[];
  /** Names what `ask` waits for now, about this pod: `NRI plugin 10-logger`. */
  waitingOn(podId: string): string | undefined;
}

/** A pod or a container that plugins are told of, with its message; undefined when it has gone meanwhile. */
export type Subject =
  | { readonly kind: 'pod'; readonly id: string; message(signal: AbortSignal): Promise<PodSandbox | undefined> }
  | { readonly kind: 'container'; readonly id: string; message(signal: AbortSignal): Promise<Container | undefined> };

export interface About<C extends PluginCall> {
  readonly podId: string;
  /** The Kubernetes namespace of the pod. */
  readonly namespace: string;
  /** Makes the request for the next plugin. */
  readonly request: () => PluginCalls[C][0];
  /** Takes the answer of a plugin (`10-logger`); what it throws fails the request. */
  readonly take?: (response: PluginCalls[C][1], plugin: PluginInstance) => void;
  readonly time: CallTime;
  /**
   * The plugins that were registered then are asked too, so that one that was lost since counts as failed, unless an
   * `ask` of the same request has gone on without it.
   */
  readonly since?: Snapshot;
}

/** The plugins that are registered at one moment. Only the service reads it. */
export type Snapshot = object;

/** How long plugins may take for the caller. */
export interface CallTime {
  readonly signal: AbortSignal;
  /** The milliseconds until the caller of the operation must have its response; undefined without such a limit. */
  readonly dueInMs?: () => number | undefined;
}

/** The name of a plugin in messages and in the owners of fields, as upstream forms it. */
export const pluginName = ({ index, name }: PluginInstance): string => `${index}-${name}`;
