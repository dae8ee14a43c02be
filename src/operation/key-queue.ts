import { CriError } from '../base/errors.js';

/** The operations on one key: one holds the key, the others wait for it in order of arrival. */
export interface KeyQueue<T> {
  readonly holder: T | undefined;
  /**
   * Resolves when `one` holds the key; at once when it does already. An operation that held the key and released it
   * goes before all that have not held it yet. Rejects when `signal` aborts; the place in the queue is then lost.
   */
  take(one: T, signal?: AbortSignal): Promise<void>;
  /** Gives the key to the next one. Does nothing when `one` does not hold it. */
  release(one: T): void;
}

interface Waiter<T> {
  readonly one: T;
  readonly hasHeld: boolean;
  readonly go: () => void;
}

export function createKeyQueue<T>(): KeyQueue<T> {
  const hadIt = new Set<T>();
  let waiters: readonly Waiter<T>[] = [];
  let holder: T | undefined;

  const give = (one: T): void => {
    holder = one;
    hadIt.add(one);
  };

  const next = (): void => {
    const first = waiters.find(({ hasHeld }) => hasHeld) ?? waiters[0];
    if (!first) return;
    waiters = waiters.filter((other) => other !== first);
    give(first.one);
    first.go();
  };

  return {
    get holder() {
      return holder;
    },
    take(one, signal) {
      if (holder === one) return Promise.resolve();
      if (holder === undefined) return Promise.resolve(give(one));
      return new Promise((resolve, reject) => {
        const onAbort = (): void => {
          waiters = waiters.filter((other) => other !== waiter);
          reject(CriError.from(signal?.reason));
        };
        const go = (): void => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        };
        const waiter: Waiter<T> = { one, hasHeld: hadIt.has(one), go };
        if (signal?.aborted) return onAbort();
        signal?.addEventListener('abort', onAbort, { once: true });
        waiters = [...waiters, waiter];
      });
    },
    release(one) {
      if (holder !== one) return;
      holder = undefined;
      next();
    },
  };
}
