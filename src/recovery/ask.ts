import { isCode } from '../base/errors.js';

/** Returns undefined when the shim has not answered in time. */
export async function unlessSilent<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (isCode(thrown, 'UNAVAILABLE') || isCode(thrown, 'DEADLINE_EXCEEDED') || isCode(thrown, 'CANCELLED')) {
      return undefined;
    }
    throw thrown;
  }
}

/**
 * Calls `ask` with a signal that aborts after `timeoutMs`, or with `closing`. Not AbortSignal.any: it leaks in Node 20.
 */
export async function askWithin<T>(
  timeoutMs: number,
  closing: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const timer = setTimeout(abort, timeoutMs);
  if (closing.aborted) abort();
  closing.addEventListener('abort', abort, { once: true });
  try {
    return await ask(controller.signal);
  } finally {
    clearTimeout(timer);
    closing.removeEventListener('abort', abort);
  }
}
