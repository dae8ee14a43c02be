import type { Envelope } from '../../generated/containerd/types/event.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { ContainerdEvent, Events } from './containerd.js';
import { decodeEvent } from './event-decode.js';

export interface FeedSettings {
  readonly namespace: string;
  readonly log: Logger;
  /** Limit of events queued while `onConnected` runs. Beyond it, the subscription starts again. */
  readonly queueLimit?: number;
}

const QUEUE_LIMIT = 10_000;

/** Queues events until the subscriber has caught up, then delivers them one by one. */
export function createFeed(
  handlers: Parameters<Events['subscribe']>[0],
  { namespace, log, queueLimit = QUEUE_LIMIT }: FeedSettings,
  end: (reason: unknown) => void,
  ended: AbortSignal,
) {
  const queue: ContainerdEvent[] = [];
  let catchingUp: Promise<void> | undefined;
  let live = false;

  const deliver = (event: ContainerdEvent): void => {
    try {
      handlers.onEvent(event);
    } catch (thrown) {
      log.error({ err: CriError.from(thrown).message, kind: event.kind }, 'event not handled');
    }
  };
  const catchUp = async (): Promise<void> => {
    try {
      await handlers.onConnected();
      if (ended.aborted) return;
      for (const event of queue.splice(0)) deliver(event);
      live = true;
    } catch (thrown) {
      end(CriError.from(thrown).prefixed('events.subscribe: onConnected'));
    }
  };

  return {
    get live() {
      return live;
    },
    confirmed: () => catchingUp !== undefined,
    confirm: (): void => {
      catchingUp ??= catchUp();
    },
    push: (envelope: Envelope): void => {
      const event = envelope.namespace === namespace ? decode(envelope, log) : undefined;
      if (event === undefined) return;
      if (live) return deliver(event);
      queue.push(event);
      if (queue.length > queueLimit) {
        end(new CriError('RESOURCE_EXHAUSTED', `events.subscribe: more than ${queueLimit} events while catching up`));
      }
    },
    settled: async (): Promise<void> => catchingUp,
  };
}

function decode(envelope: Envelope, log: Logger): ContainerdEvent | undefined {
  try {
    return envelope.event && decodeEvent(envelope.topic, envelope.event);
  } catch (thrown) {
    log.warn({ err: CriError.from(thrown).message, topic: envelope.topic }, 'event not decoded');
    return undefined;
  }
}
