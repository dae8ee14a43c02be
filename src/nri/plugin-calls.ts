import { Event, type PluginDefinition } from '../../generated/nri/v1alpha1/api.js';
import type { PluginCall } from './port.js';

/** The event that subscribes a plugin to a call, and whether a plugin older than NRI 0.12 gets it as a StateChange. */
interface CallFacts {
  readonly method: keyof (typeof PluginDefinition)['methods'];
  readonly event: Event;
  readonly stateChange: boolean;
}

export const CALLS: Readonly<Record<PluginCall, CallFacts>> = {
  RunPodSandbox: { method: 'runPodSandbox', event: Event.RUN_POD_SANDBOX, stateChange: true },
  UpdatePodSandbox: { method: 'updatePodSandbox', event: Event.UPDATE_POD_SANDBOX, stateChange: false },
  PostUpdatePodSandbox: { method: 'postUpdatePodSandbox', event: Event.POST_UPDATE_POD_SANDBOX, stateChange: true },
  StopPodSandbox: { method: 'stopPodSandbox', event: Event.STOP_POD_SANDBOX, stateChange: true },
  RemovePodSandbox: { method: 'removePodSandbox', event: Event.REMOVE_POD_SANDBOX, stateChange: true },
  CreateContainer: { method: 'createContainer', event: Event.CREATE_CONTAINER, stateChange: false },
  PostCreateContainer: { method: 'postCreateContainer', event: Event.POST_CREATE_CONTAINER, stateChange: true },
  StartContainer: { method: 'startContainer', event: Event.START_CONTAINER, stateChange: true },
  PostStartContainer: { method: 'postStartContainer', event: Event.POST_START_CONTAINER, stateChange: true },
  UpdateContainer: { method: 'updateContainer', event: Event.UPDATE_CONTAINER, stateChange: false },
  PostUpdateContainer: { method: 'postUpdateContainer', event: Event.POST_UPDATE_CONTAINER, stateChange: true },
  StopContainer: { method: 'stopContainer', event: Event.STOP_CONTAINER, stateChange: false },
  RemoveContainer: { method: 'removeContainer', event: Event.REMOVE_CONTAINER, stateChange: true },
  ValidateContainerAdjustment: {
    ...{ method: 'validateContainerAdjustment', event: Event.VALIDATE_CONTAINER_ADJUSTMENT, stateChange: false },
  },
};

/** The mask of all events: bit N - 1 is Event N. */
export const ALL_EVENTS = 2 ** (Event.LAST - 1) - 1;

export const isSubscribed = (events: number, call: PluginCall): boolean =>
  (events & (1 << (CALLS[call].event - 1))) !== 0;
