import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from 'pino';

/** What follows one request through every layer without being passed: its id and a logger that carries the id. */
export interface RequestContext {
  readonly requestId: string;
  readonly log: Logger;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` with `context` as what `currentContext()` answers in it and in all that it awaits. */
export const withContext = <T>(context: RequestContext, work: () => T): T => storage.run(context, work);

/** The context of the request being served, or undefined in work that no request started (events, recovery). */
export const currentContext = (): RequestContext | undefined => storage.getStore();
