import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientMiddleware } from 'nice-grpc';
import { withResolvers } from '../../src/base/async.js';

/** The calls of the clients that use `middleware`. */
export interface InFlight {
  /** Fails a new call with the signal's reason once the signal has aborted. */
  readonly middleware: ClientMiddleware;
  /** Waits until the running calls have ended, at most `limitMs`. */
  ended(limitMs: number): Promise<void>;
}

/** A server goes on with a call that its caller gives up, so a clean-up first waits for the calls that run. */
export function createInFlight(signal: AbortSignal): InFlight {
  const running = new Set<Promise<void>>();
  return {
    async *middleware(call, options) {
      signal.throwIfAborted();
      const { promise, resolve } = withResolvers<void>();
      running.add(promise);
      try {
        return yield* call.next(call.request, options);
      } finally {
        running.delete(promise);
        resolve();
      }
    },
    async ended(limitMs) {
      await Promise.race([Promise.all(running), sleep(limitMs, undefined, { ref: false })]);
    },
  };
}
