import { CriError } from './errors.js';

/** Hands each item to every subscriber, in order. */
export interface Subscribers<T> {
  push(item: T): void;
  /**
   * Yields every item from now on until `signal` aborts or `close` is called. A subscriber that reads too slowly is cut
   * off with RESOURCE_EXHAUSTED.
   */
  subscribe(signal: AbortSignal | undefined): AsyncIterable<T>;
  /** The number of subscribers, and of the items that the slowest subscriber has not read. */
  load(): { readonly subscribers: number; readonly longestQueue: number };
  /** Ends every subscription. */
  close(): void;
}

/** `what` names the items in errors: `events`. */
export function createSubscribers<T>(options: {
  what: string;
  /** The most unread items of one subscriber. */
  queueLimit: number;
  onCutOff?: (() => void) | undefined;
}): Subscribers<T> {
  const subscribers = new Set<Subscriber<T>>();
  let closed = false;
  return {
    push(item) {
      for (const subscriber of subscribers) subscriber.push(item);
    },
    async *subscribe(signal) {
      const subscriber = createSubscriber<T>(options, () => {
        subscribers.delete(subscriber);
        options.onCutOff?.();
      });
      const onAbort = (): void => subscriber.end();
      subscribers.add(subscriber);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted || closed) onAbort();
      try {
        yield* subscriber.items();
      } finally {
        subscribers.delete(subscriber);
        signal?.removeEventListener('abort', onAbort);
      }
    },
    load: () => ({
      subscribers: subscribers.size,
      longestQueue: Math.max(0, ...[...subscribers].map((subscriber) => subscriber.waiting())),
    }),
    close() {
      closed = true;
      for (const subscriber of subscribers) subscriber.end();
    },
  };
}

interface Subscriber<T> {
  push(item: T): void;
  end(): void;
  waiting(): number;
  items(): AsyncGenerator<T>;
}

function createSubscriber<T>(
  { what, queueLimit }: { what: string; queueLimit: number },
  onCutOff: () => void,
): Subscriber<T> {
  const queue: T[] = [];
  let wake: (() => void) | undefined;
  let ended = false;
  let failure: CriError | undefined;
  return {
    push(item) {
      if (ended || failure) return;
      queue.push(item);
      if (queue.length > queueLimit) {
        queue.length = 0;
        failure = new CriError('RESOURCE_EXHAUSTED', `more than ${queueLimit} ${what} were not read: subscribe again`);
        onCutOff();
      }
      wake?.();
    },
    end() {
      ended = true;
      wake?.();
    },
    waiting: () => queue.length,
    async *items() {
      for (;;) {
        if (failure) throw failure;
        const item = queue.shift();
        if (item !== undefined) yield item;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
