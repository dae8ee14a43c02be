import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from 'pino';
import type { Span } from './span.js';

/** What follows one request through every layer without being passed: its id and a logger that carries the id. */
export interface RequestContext {
  readonly requestId: string;
  readonly log: Logger;
  /** What is done now, where somebody follows traces. */
  readonly span?: Span | undefined;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` with `context` as what `currentContext()` answers in it and in all that it awaits. */
export const withContext = <T>(context: RequestContext, work: () => T): T => storage.run(context, work);

/** The context of the request being served, or undefined in work that no request started (events, recovery). */
export const currentContext = (): RequestContext | undefined => storage.getStore();

/** The same request in a span below; its logger is still made only when it is asked for. */
export const childContext = (context: RequestContext, span: Span): RequestContext =>
  Object.create(context, { span: { value: span, enumerable: true } }) as RequestContext;
