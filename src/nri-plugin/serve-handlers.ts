import {
  CreateContainerResponse,
  SynchronizeResponse,
  UpdateContainerResponse,
  Event,
  type Container,
  type FailurePolicy,
  type PluginDefinition,
  type PodSandbox,
} from '../../generated/nri/v1alpha1/api.js';
import { CriError } from '../base/errors.js';
import { CALLS } from '../nri/plugin-calls.js';
import type { PluginCall } from '../nri/port.js';
import type { Handlers } from '../ttrpc/ttrpc-server.js';
import type { AboutContainer, AboutPod, PluginHandlers } from './handlers.js';

/** The pods and containers of a node, which may come in pieces. */
const MAX_SUBJECTS = 200_000;

/** Returns the methods of the service Plugin. A method that has no handler does nothing. */
export function pluginMethods(
  handlers: PluginHandlers,
  failurePolicy: FailurePolicy | undefined,
): Handlers<typeof PluginDefinition> {
  const events = subscribedEvents(handlers);
  return {
    configure: async (request) => {
      await handlers.configure?.(request);
      return { events, failure_policy: failurePolicy };
    },
    synchronize: synchronizer(handlers),
    shutdown: async () => {
      await handlers.shutdown?.();
      return {};
    },
    runPodSandbox: told((about, signal) => handlers.runPodSandbox?.(about, signal)),
    updatePodSandbox: async (request, signal) => {
      await handlers.updatePodSandbox?.({ ...request, ...podOf(request) }, signal);
      return {};
    },
    postUpdatePodSandbox: told((about, signal) => handlers.postUpdatePodSandbox?.(about, signal)),
    stopPodSandbox: told((about, signal) => handlers.stopPodSandbox?.(about, signal)),
    removePodSandbox: told((about, signal) => handlers.removePodSandbox?.(about, signal)),
    createContainer: async (request, signal) =>
      completed(CreateContainerResponse, await handlers.createContainer?.(containerOf(request), signal)),
    postCreateContainer: toldOfContainer((about, signal) => handlers.postCreateContainer?.(about, signal)),
    startContainer: toldOfContainer((about, signal) => handlers.startContainer?.(about, signal)),
    postStartContainer: toldOfContainer((about, signal) => handlers.postStartContainer?.(about, signal)),
    updateContainer: async (request, signal) => {
      const about = { ...request, ...containerOf(request) };
      return completed(UpdateContainerResponse, await handlers.updateContainer?.(about, signal));
    },
    postUpdateContainer: toldOfContainer((about, signal) => handlers.postUpdateContainer?.(about, signal)),
    stopContainer: async (request, signal) =>
      completed(UpdateContainerResponse, await handlers.stopContainer?.(containerOf(request), signal)),
    removeContainer: toldOfContainer((about, signal) => handlers.removeContainer?.(about, signal)),
    validateContainerAdjustment: async (request, signal) => {
      const about = { ...request, ...containerOf(request) };
      const reason = await handlers.validateContainerAdjustment?.(about, signal);
      return { reject: typeof reason === 'string', reason: reason ?? '' };
    },
    stateChange: async (request, signal) => {
      await handleStateChange(handlers, request, signal);
      return {};
    },
  };
}

/** Returns the mask of the events that have a handler. */
export function subscribedEvents(handlers: PluginHandlers): number {
  const wanted = Object.values(CALLS).filter(({ method }) => handlers[method as keyof PluginHandlers]);
  const events = wanted.reduce((mask, { event }) => mask | (1 << (event - 1)), 0);
  // No event at all would mean each of them; this one comes once in the life of a pod.
  return events === 0 ? 1 << (Event.REMOVE_POD_SANDBOX - 1) : events;
}

/** Collects the pieces of the state, and passes them to the handler when they are complete. */
function synchronizer(handlers: PluginHandlers): Handlers<typeof PluginDefinition>['synchronize'] {
  let pods: PodSandbox[] = [];
  let containers: Container[] = [];
  return async (request, signal) => {
    pods = pods.concat(request.pods);
    containers = containers.concat(request.containers);
    if (pods.length + containers.length > MAX_SUBJECTS)
      throw new CriError('RESOURCE_EXHAUSTED', `more than ${MAX_SUBJECTS} pods and containers`);
    if (request.more) return { update: [], more: true };
    const state = { pods, containers };
    [pods, containers] = [[], []];
    return completed(SynchronizeResponse, { update: (await handlers.synchronize?.(state, signal)) ?? [] });
  };
}

/** Runtimes before NRI v0.12 send most events by this method. */
async function handleStateChange(
  handlers: PluginHandlers,
  { event, ...request }: Subject & { readonly event: Event },
  signal: AbortSignal,
): Promise<void> {
  const call = (Object.keys(CALLS) as PluginCall[]).find((name) => CALLS[name].event === event);
  if (call === undefined || !CALLS[call].stateChange) return;
  const handle = handlers[CALLS[call].method as keyof PluginHandlers] as ToldOfContainer | undefined;
  if (handle) await handle.call(handlers, (request.container ? containerOf : podOf)(request) as AboutContainer, signal);
}

interface Subject {
  readonly pod: PodSandbox | undefined;
  readonly container?: Container | undefined;
}

type ToldOfPod = (about: AboutPod, signal: AbortSignal) => unknown;
type ToldOfContainer = (about: AboutContainer, signal: AbortSignal) => unknown;

const told =
  (handle: ToldOfPod) =>
  async (request: Subject, signal: AbortSignal): Promise<object> => {
    await handle(podOf(request), signal);
    return {};
  };

const toldOfContainer =
  (handle: ToldOfContainer) =>
  async (request: Subject, signal: AbortSignal): Promise<object> => {
    await handle(containerOf(request), signal);
    return {};
  };

function podOf({ pod }: Subject): AboutPod {
  if (!pod) throw new CriError('INVALID_ARGUMENT', 'pod: is missing');
  return { pod };
}

function containerOf(request: Subject): AboutContainer {
  const { container } = request;
  if (!container) throw new CriError('INVALID_ARGUMENT', 'container: is missing');
  return { ...podOf(request), container };
}

/** Adds the missing members to the answer of a handler. */
const completed = <T, P>(type: { fromPartial(partial: P): T }, answer: object | void): T =>
  type.fromPartial((answer ?? {}) as P);
