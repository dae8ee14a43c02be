import { ContainerEventType, type ContainerEventResponse } from '../../generated/runtime/v1/api.js';
import { createSubscribers } from '../base/subscribers.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Container, Pod } from '../state/records.js';
import type { State } from '../state/state.js';

/** The events of pods and containers (CRI GetContainerEvents). */
export interface ContainerEvents {
  /**
   * Yields every event from now on, in the order of the state changes, until `signal` aborts or crid stops. A
   * subscriber that reads too slowly is cut off with RESOURCE_EXHAUSTED: a kubelet lists everything when it subscribes
   * again.
   */
  subscribe(signal: AbortSignal | undefined): AsyncIterable<ContainerEventResponse>;
  /** The number of subscribers, and of the events that the slowest subscriber has not read. */
  load(): { readonly subscribers: number; readonly longestQueue: number };
  /** Ends every subscription. */
  close(): void;
}

/** Returns a pod and its containers as they are right after an event; `pod` is its last known state. */
export type DescribePod = (pod: Pod) => Pick<ContainerEventResponse, 'pod_sandbox_status' | 'containers_statuses'>;

/** Unread events of one subscriber. A busy node makes some tens of events a second. */
const QUEUE_LIMIT = 2_000;

const { CONTAINER_CREATED_EVENT, CONTAINER_STARTED_EVENT, CONTAINER_STOPPED_EVENT, CONTAINER_DELETED_EVENT } =
  ContainerEventType;

/** The events of a pod itself carry its id as the container's id, as in containerd's CRI plugin. */
export function createContainerEvents(options: {
  state: Pick<State, 'pods' | 'containers'>;
  describe: DescribePod;
  queueLimit?: number;
  onCutOff?: () => void;
}): ContainerEvents {
  const { state, describe, queueLimit = QUEUE_LIMIT, onCutOff } = options;
  const subscribers = createSubscribers<ContainerEventResponse>({ what: 'events', queueLimit, onCutOff });

  const publish = (id: string, types: readonly ContainerEventType[], pod: Pod | undefined): void => {
    if (subscribers.load().subscribers === 0 || types.length === 0) return;
    const described = pod ? describe(pod) : { pod_sandbox_status: undefined, containers_statuses: [] };
    for (const type of types) {
      subscribers.push({ container_id: id, container_event_type: type, created_at: nowNs(), ...described });
    }
  };
  const stops = [
    state.pods.onChange((before, after) => publish((after ?? before)!.id, podEvents(before, after), after ?? before)),
    state.containers.onChange((before, after) => {
      const { id, podId } = (after ?? before)!;
      publish(id, containerEventTypes(before, after), state.pods.find(podId, 'pod_sandbox_id'));
    }),
  ];

  return {
    subscribe: subscribers.subscribe,
    load: subscribers.load,
    close() {
      for (const stop of stops) stop();
      subscribers.close();
    },
  };
}

function podEvents(before: Pod | undefined, after: Pod | undefined): ContainerEventType[] {
  if (!after) return [CONTAINER_DELETED_EVENT];
  const stopped = after.state.phase === 'not-ready';
  if (!before) return [CONTAINER_CREATED_EVENT, stopped ? CONTAINER_STOPPED_EVENT : CONTAINER_STARTED_EVENT];
  return stopped && before.state.phase === 'ready' ? [CONTAINER_STOPPED_EVENT] : [];
}

function containerEventTypes(before: Container | undefined, after: Container | undefined): ContainerEventType[] {
  if (!after) return [CONTAINER_DELETED_EVENT];
  const types: ContainerEventType[] = before ? [] : [CONTAINER_CREATED_EVENT];
  const [from, to] = [before?.state.phase ?? 'created', after.state];
  if (from === to.phase || to.phase === 'created') return types;
  // A container that ended before its start was recorded has started too.
  const started = from === 'created' && !(to.phase === 'exited' && to.reason === 'StartError');
  if (started) types.push(CONTAINER_STARTED_EVENT);
  if (to.phase === 'exited') types.push(CONTAINER_STOPPED_EVENT);
  return types;
}
