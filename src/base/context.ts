import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from 'pino';
import type { Span } from './span.js';

/** Context that follows one request through every layer without being passed: its id, and a logger that adds the id. */
export interface RequestContext {
  readonly requestId: string;
  readonly log: Logger;
  /** The current span, if traces are collected. */
  readonly span?: Span | undefined;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` with `context` as the result of `currentContext()`, also in everything that it awaits. */
export const withContext = <T>(context: RequestContext, work: () => T): T => storage.run(context, work);

/** Runs `work`, and everything that it awaits, as work that no request started: it goes on after the request. */
export const withoutContext = <T>(work: () => T): T => storage.exit(work);

/** Returns the context of the request being served, or undefined in work that no request started (events, recovery). */
export const currentContext = (): RequestContext | undefined => storage.getStore();

/** Returns the same request's context with a child span. Its logger is still created lazily. */
export const childContext = (context: RequestContext, span: Span): RequestContext =>
  Object.create(context, { span: { value: span, enumerable: true } }) as RequestContext;
