import {
  LinuxContainer,
  type Container as ContainerMessage,
  type LinuxResources,
} from '../../generated/nri/v1alpha1/api.js';
import type { LinuxContainerResources } from '../../generated/runtime/v1/api.js';
import type { Steps } from '../operation/steps.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';
import { checkNriUpdate, type ResourceFacts } from './adjust/check-resources.js';
import { containerMessage } from './adjust/container-message.js';
import type { CreateResult } from './adjust/merge-create.js';
import { mergeUpdate, type UpdateResult } from './adjust/merge-updates.js';
import { criResources } from './adjust/resource-view.js';
import { changesBetween } from './adjust/audit.js';
import { askToAdjust, logChanges, ofPlugin, undoCreate, type Audited, type NewContainer } from './ask-to-adjust.js';
import { applyToOthers, type OtherContainers } from './other-containers.js';
import { pluginName } from './port.js';
import type { StopNotices } from './stop-notices.js';
import {
  askStep,
  beginSubject,
  briefly,
  callTime,
  containerFor,
  inCallerWait,
  namespaceOf,
  tellStep,
  type HookDeps,
} from './tell.js';

export type Adjusted = Pick<CreateResult, 'adjust'> & Audited;

/** The hooks of NRI in the operations on containers. Without a plugin that wants a call, it is not even a step. */
export interface ContainerHooks {
  /**
   * Returns what plugins change in the spec of a new container, and which did, or undefined; validating plugins have
   * accepted it. FAILED_PRECONDITION names the plugin, or the two plugins that set one field. When the create fails
   * later, plugins are told that the container is stopped and removed.
   */
  create(steps: Steps, subject: NewContainer): Promise<Adjusted | undefined>;
  created(steps: Steps, container: Container): Promise<void>;
  /** A plugin's error fails the start. `pid`: of the task, which is created and not started. */
  start(steps: Steps, container: Container, pid: number): Promise<void>;
  started(steps: Steps, container: Container): Promise<void>;
  /** Returns the values that plugins set over the requested ones, or undefined. A plugin's error fails the update. */
  update(steps: Steps, container: Container, request: ResourcesRequest): Promise<LinuxResources | undefined>;
  updated(steps: Steps, container: Container): Promise<void>;
  /** Whether a plugin is still to be told that a container which was never started is stopped. */
  wantsStop(id: string): boolean;
  /** Tells the stop, unless it has been told. Resolves when plugins have been told. */
  stopped(steps: Steps, container: Container): Promise<void>;
  /** Tells the removal, and before it the stop of a container that was never started nor stopped. */
  removed(steps: Steps, container: Container): Promise<void>;
}

interface ResourcesRequest {
  readonly resources: LinuxContainerResources;
  readonly facts: ResourceFacts;
}

type Notice = 'PostCreateContainer' | 'PostStartContainer' | 'PostUpdateContainer' | 'RemoveContainer';

type Deps = HookDeps & {
  readonly state: Pick<State, 'pods' | 'containers'>;
  readonly others: OtherContainers;
  readonly stops: StopNotices;
};

export function createContainerHooks(deps: Deps): ContainerHooks {
  const { plugins, told, stops } = deps;

  const notice = (steps: Steps, call: Notice, container: Container): Promise<void> =>
    tellStep(deps, steps, call, {
      ...placeOf(deps, container),
      request: (signal) => containerFor(deps, container, signal),
    });
  const stopped = async (steps: Steps, container: Container): Promise<void> => {
    if (!plugins.wants('StopContainer')) return;
    const tell = (signal: AbortSignal): Promise<void> => inCallerWait(steps, signal, stops.tell(container));
    await steps.step('tell NRI plugins: StopContainer', tell, undefined, {
      waitingOn: () => plugins.waitingOn(container.podId),
    });
  };

  return {
    create: (steps, subject) => create(deps, steps, subject),
    created: (steps, container) => notice(steps, 'PostCreateContainer', container),
    async start(steps, container, pid) {
      told.startAgain(container.id);
      await askStep(
        deps,
        steps,
        'StartContainer',
        container.podId,
        async (time) => {
          const message = await containerFor(deps, container, time.signal, pid);
          await plugins.ask('StartContainer', { ...placeOf(deps, container), request: () => message, time });
        },
        () => briefly(stops.tell(container)),
      );
    },
    started: (steps, container) => notice(steps, 'PostStartContainer', container),
    update: (steps, container, request) => update(deps, steps, container, request),
    updated: (steps, container) => notice(steps, 'PostUpdateContainer', container),
    wantsStop: (id) => plugins.wants('StopContainer') && told.isLive(id),
    stopped,
    async removed(steps, container) {
      await stopped(steps, container);
      if (told.remove(container.id)) await notice(steps, 'RemoveContainer', container);
    },
  };
}

async function create(deps: Deps, steps: Steps, subject: NewContainer): Promise<Adjusted | undefined> {
  const { plugins, state } = deps;
  const { container, pod, spec } = subject;
  const message = async (signal: AbortSignal): Promise<ContainerMessage> => {
    const stored = state.containers.byId(container.id);
    return stored ? (await containerFor(deps, stored, signal)).container : containerMessage(container, spec);
  };
  beginSubject(deps, steps, { kind: 'container', id: container.id, message });
  const asks = plugins.wants('CreateContainer') || plugins.wants('ValidateContainerAdjustment');
  if (!asks && !deps.validate) return undefined;
  const { adjust, update, evict, audit } = await steps.step(
    'ask NRI plugins: CreateContainer',
    (signal) => askToAdjust(deps, subject, callTime(steps, signal)),
    () => briefly(undoCreate(deps, subject)),
    { waitingOn: () => plugins.waitingOn(pod.id) },
  );
  await applyStep(deps, steps, { update, evict });
  return { adjust, audit };
}

async function update(
  deps: Deps,
  steps: Steps,
  container: Container,
  { resources, facts }: ResourcesRequest,
): Promise<LinuxResources | undefined> {
  const { plugins } = deps;
  if (!plugins.wants('UpdateContainer')) return undefined;
  const ask = async (signal: AbortSignal): Promise<UpdateResult> => {
    const message = await containerFor(deps, container, signal);
    const merge = mergeUpdate({ ...message, linux_resources: criResources(resources) });
    const shown = () => ({
      linux: LinuxContainer.fromPartial({ resources: merge.request().linux_resources }),
    });
    await plugins.ask('UpdateContainer', {
      ...placeOf(deps, container),
      request: merge.request,
      take(response, plugin) {
        for (const { container_id: id, linux } of response.update)
          if (id === container.id && linux?.resources)
            ofPlugin(plugin, () => checkNriUpdate(linux.resources!, 'update.linux.resources', facts));
        const before = shown();
        merge.add(response, pluginName(plugin));
        logChanges(deps, container.id, changesBetween(pluginName(plugin), before, shown()));
      },
      time: callTime(steps, signal),
    });
    return merge.result();
  };
  const merged = await steps.step('ask NRI plugins: UpdateContainer', ask, undefined, {
    waitingOn: () => plugins.waitingOn(container.podId),
  });
  await applyStep(deps, steps, merged);
  return merged.resources;
}

async function applyStep(deps: Deps, steps: Steps, asked: Pick<UpdateResult, 'update' | 'evict'>): Promise<void> {
  if (asked.update.length + asked.evict.length === 0) return;
  await steps.step('apply updates of NRI plugins', () => applyToOthers(deps, asked.update, asked.evict));
}

const placeOf = ({ state }: Pick<Deps, 'state'>, { podId }: Container): { podId: string; namespace: string } => ({
  podId,
  namespace: namespaceOf(state.pods.byId(podId)),
});
