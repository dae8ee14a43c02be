import { randomUUID } from 'node:crypto';
import { EventsDefinition } from '../../generated/containerd/services/events/v1/events.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { sleep, unlessAborted } from '../base/time.js';
import { wireAny } from './any.js';
import { withOptions, withoutLimit, type ClientOf, type ServiceClient } from './connection.js';
import type { Events } from './containerd.js';
import { eventFilters } from './event-decode.js';
import { createFeed, type FeedSettings } from './event-feed.js';

type Handlers = Parameters<Events['subscribe']>[0];

export interface EventSettings extends FeedSettings {
  /** Whether the client is closed, after which crid does not subscribe again. */
  readonly isClosed: () => boolean;
}

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 1_000;
const CONFIRM_INTERVAL_MS = 50;
const CONFIRM_ATTEMPTS = 100;

export function createEvents(clientOf: ClientOf, settings: EventSettings): Events {
  const client = clientOf(EventsDefinition);
  return {
    subscribe: (handlers, signal) => {
      keepSubscribed(client, settings, handlers, signal).catch((thrown: unknown) => {
        if (!signal.aborted) settings.log.error({ err: CriError.from(thrown).message }, 'event subscription ended');
      });
    },
  };
}

async function keepSubscribed(
  client: ServiceClient<EventsDefinition>,
  settings: EventSettings,
  handlers: Handlers,
  signal: AbortSignal,
): Promise<void> {
  let backoffMs = BACKOFF_MIN_MS;
  while (!signal.aborted && !settings.isClosed()) {
    const { lost, wasLive } = await runSession(client, settings, handlers, signal);
    if (signal.aborted || settings.isClosed()) return;
    tellLost(handlers, lost, settings.log);
    backoffMs = wasLive ? BACKOFF_MIN_MS : Math.min(backoffMs * 2, BACKOFF_MAX_MS);
    await sleep(backoffMs, signal);
  }
}

/** A subscription, from subscribing to its loss. */
async function runSession(
  client: ServiceClient<EventsDefinition>,
  settings: EventSettings,
  handlers: Handlers,
  outer: AbortSignal,
): Promise<{ lost: Error; wasLive: boolean }> {
  const session = new AbortController();
  let lost: Error | undefined;
  const end = (reason: unknown): void => {
    lost ??= CriError.from(reason);
    session.abort();
  };
  const onAbort = (): void => end(new CriError('CANCELLED', 'events.subscribe: ended by the subscriber'));
  outer.addEventListener('abort', onAbort, { once: true });

  const marker = `/crid/subscribed-${randomUUID()}`;
  const feed = createFeed(handlers, settings, end, session.signal);
  const confirming = confirm(client, marker, session.signal, feed.confirmed).catch(end);
  try {
    const filters = eventFilters(settings.namespace, [marker]);
    for await (const envelope of client.subscribe({ filters }, withoutLimit({ signal: session.signal }))) {
      if (envelope.topic === marker) feed.confirm();
      else feed.push(envelope);
    }
    end(new CriError('UNAVAILABLE', 'events.subscribe: containerd ended the stream'));
  } catch (thrown) {
    end(thrown);
  } finally {
    session.abort();
    await confirming;
    // Two runs of onConnected must not overlap.
    await unlessAborted(feed.settled(), outer).catch(() => undefined);
    outer.removeEventListener('abort', onAbort);
  }
  return { lost: lost ?? new CriError('UNAVAILABLE', 'events.subscribe: lost'), wasLive: feed.live };
}

/**
 * containerd does not confirm a subscription. So crid publishes a marker event until it receives it: from then on it
 * misses no event.
 */
async function confirm(
  client: ServiceClient<EventsDefinition>,
  topic: string,
  signal: AbortSignal,
  isConfirmed: () => boolean,
): Promise<void> {
  const event = wireAny({ type_url: 'google.protobuf.Empty', value: new Uint8Array() });
  for (let attempt = 0; attempt < CONFIRM_ATTEMPTS; attempt++) {
    if (signal.aborted || isConfirmed()) return;
    await client.publish({ topic, event }, withOptions({ signal }));
    await sleep(CONFIRM_INTERVAL_MS, signal).catch(() => undefined);
  }
  if (!signal.aborted && !isConfirmed()) {
    throw new CriError('UNAVAILABLE', 'events.subscribe: the subscription did not take effect');
  }
}

function tellLost(handlers: Handlers, lost: Error, log: Logger): void {
  try {
    handlers.onLost(lost);
  } catch (thrown) {
    log.error({ err: CriError.from(thrown).message }, 'loss of the event subscription not handled');
  }
}
