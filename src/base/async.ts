/** A promise and the functions that settle it. */
export interface Resolvers<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** As `Promise.withResolvers`, which Node 20 does not have. */
export function withResolvers<T = void>(): Resolvers<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/**
 * Runs one `work` at a time for each key, in the order of the calls, whether or not the earlier ones failed. `wait`
 * receives the promise of the turn; `work` does not run if `wait` rejects.
 */
export type KeyedQueue = <T>(
  key: string,
  work: () => Promise<T>,
  wait?: (turn: Promise<void>) => Promise<void>,
) => Promise<T>;

export function createKeyedQueue(): KeyedQueue {
  const tails = new Map<string, Promise<void>>();
  return async (key, work, wait = (turn) => turn) => {
    const before = tails.get(key) ?? Promise.resolve();
    const { promise: done, resolve: release } = withResolvers();
    // A caller that gives up waiting does not let the next one run before its turn.
    const tail = before.then(() => done);
    tails.set(key, tail);
    const forget = (): void => {
      if (tails.get(key) === tail) tails.delete(key);
    };
    tail.then(forget, forget);
    try {
      await wait(before);
      return await work();
    } finally {
      release();
    }
  };
}

/**
 * Runs `work` with a signal that aborts when the first of `signals` does, with its reason. AbortSignal.any leaks in
 * Node 20 when one of its sources lives long (https://github.com/nodejs/node/issues/55351), so crid does not use it.
 */
export async function withAnySignal<T>(
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const sources = signals.filter((signal) => signal !== undefined);
  const onAbort = (event: Event): void => controller.abort((event.target as AbortSignal).reason);
  for (const source of sources) source.addEventListener('abort', onAbort, { once: true });
  const aborted = sources.find((source) => source.aborted);
  if (aborted) controller.abort(aborted.reason);
  try {
    return await work(controller.signal);
  } finally {
    for (const source of sources) source.removeEventListener('abort', onAbort);
  }
}
