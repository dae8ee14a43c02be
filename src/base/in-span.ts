import { childContext, currentContext, withContext, type RequestContext } from './context.js';
import type { Span } from './span.js';

/** Runs `work` in a child span of the request's span, or just runs it when traces are not collected. */
export function inSpan<T>(name: string, work: () => Promise<T>): Promise<T> {
  const context = currentContext();
  return context?.span ? within(context, context.span.child(name, 'internal'), work) : work();
}

async function within<T>(context: RequestContext, span: Span, work: () => Promise<T>): Promise<T> {
  let failure: Error | undefined;
  try {
    return await withContext(childContext(context, span), work);
  } catch (thrown) {
    failure = thrown instanceof Error ? thrown : new Error(String(thrown));
    throw thrown;
  } finally {
    span.end(failure && { code: (failure as { code?: string }).code ?? 'UNKNOWN', message: failure.message });
  }
}
