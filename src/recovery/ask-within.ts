import { withAnySignal } from '../base/async.js';
import { isCode } from '../base/errors.js';
import { timeoutSignal } from '../base/time.js';

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

/** Calls `ask` with a signal that aborts after `timeoutMs`, or with `closing`. */
export async function askWithin<T>(
  timeoutMs: number,
  closing: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = timeoutSignal(timeoutMs);
  try {
    return await withAnySignal([closing, late.signal], ask);
  } finally {
    late.clear();
  }
}
