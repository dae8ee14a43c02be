import type {
  ConfigureRequest,
  Container,
  ContainerAdjustment,
  ContainerEviction,
  ContainerUpdate,
  LinuxResources,
  OwningPlugins,
  PluginInstance,
  PodSandbox,
} from '../../generated/nri/v1alpha1/api.js';

/**
 * The handlers of a plugin, each of which may be missing. The plugin is subscribed to the events that have a handler.
 * An error that a handler throws goes to the runtime. It fails the request of the CRI client if the call can fail that:
 * runPodSandbox, createContainer, startContainer, updateContainer, updatePodSandbox. `signal` aborts at the time limit
 * of the call, and when the connection closes. The members of the messages have the names of NRI's api.proto.
 */
export interface PluginHandlers {
  /** Gets the configuration, before anything else. An error ends the connection. */
  configure?(request: ConfigureRequest): Answer<void>;
  /** Gets the pods and the containers that exist. Returns updates of containers. */
  synchronize?(state: NodeState, signal: AbortSignal): Answer<readonly PartialMessage<ContainerUpdate>[] | void>;
  /** The runtime ends, and closes the connection next. */
  shutdown?(): Answer<void>;

  /** The pod has its network, and is not ready yet. */
  runPodSandbox?(about: AboutPod, signal: AbortSignal): Answer<void>;
  updatePodSandbox?(about: AboutPodUpdate, signal: AbortSignal): Answer<void>;
  postUpdatePodSandbox?(about: AboutPod, signal: AbortSignal): Answer<void>;
  stopPodSandbox?(about: AboutPod, signal: AbortSignal): Answer<void>;
  removePodSandbox?(about: AboutPod, signal: AbortSignal): Answer<void>;

  /** Returns changes of the container before it is created, and of other containers. */
  createContainer?(about: AboutContainer, signal: AbortSignal): Answer<CreateAnswer | void>;
  postCreateContainer?(about: AboutContainer, signal: AbortSignal): Answer<void>;
  startContainer?(about: AboutContainer, signal: AbortSignal): Answer<void>;
  postStartContainer?(about: AboutContainer, signal: AbortSignal): Answer<void>;
  /** Returns other resources for the container, and changes of other containers. */
  updateContainer?(about: AboutContainerUpdate, signal: AbortSignal): Answer<UpdateAnswer | void>;
  postUpdateContainer?(about: AboutContainer, signal: AbortSignal): Answer<void>;
  /** Returns changes of other containers. */
  stopContainer?(about: AboutContainer, signal: AbortSignal): Answer<Pick<UpdateAnswer, 'update'> | void>;
  removeContainer?(about: AboutContainer, signal: AbortSignal): Answer<void>;

  /** Looks at the adjustments of all plugins. A returned reason rejects the container. */
  validateContainerAdjustment?(about: AboutAdjustment, signal: AbortSignal): Answer<string | void>;
}

export interface NodeState {
  readonly pods: readonly PodSandbox[];
  readonly containers: readonly Container[];
}

export interface AboutPod {
  readonly pod: PodSandbox;
}

export interface AboutPodUpdate extends AboutPod {
  readonly overhead_linux_resources: LinuxResources | undefined;
  readonly linux_resources: LinuxResources | undefined;
}

export interface AboutContainer extends AboutPod {
  readonly container: Container;
}

export interface AboutContainerUpdate extends AboutContainer {
  readonly linux_resources: LinuxResources | undefined;
}

export interface AboutAdjustment extends AboutContainer {
  readonly adjust: ContainerAdjustment | undefined;
  readonly update: readonly ContainerUpdate[];
  readonly owners: OwningPlugins | undefined;
  /** The plugins that were asked for adjustments. */
  readonly plugins: readonly PluginInstance[];
}

export interface UpdateAnswer {
  readonly update?: readonly PartialMessage<ContainerUpdate>[];
  readonly evict?: readonly PartialMessage<ContainerEviction>[];
}

export interface CreateAnswer extends UpdateAnswer {
  readonly adjust?: PartialMessage<ContainerAdjustment>;
}

export type Answer<T> = T | Promise<T>;

/** A message of which any member may be missing. */
export type PartialMessage<T> = T extends Scalar
  ? T
  : T extends readonly (infer U)[]
    ? readonly PartialMessage<U>[]
    : { readonly [M in keyof T]?: PartialMessage<T[M]> | undefined };

type Scalar = string | number | bigint | boolean | undefined;
