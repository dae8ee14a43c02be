import { withAnySignal } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { timeoutSignal } from '../base/time.js';
import type { CallTime } from './port.js';

/** The time that the caller of the operation has left is over. The plugin is not at fault. */
export class CallerLateError extends CriError {}

/** A plugin leaves this of the caller's time for the rest of the operation or its undo; of a short time, a quarter. */
const CALLER_MARGIN_MS = 2_000;
const CALLER_SHARE = 0.75;

/**
 * Waits no longer than the caller has left, without what the operation needs to end: throws a CallerLateError then.
 * A call to a plugin that is given up goes on, with the plugin's own limit.
 */
export async function inCallerTime<T>(
  { signal, dueInMs }: CallTime,
  wait: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const dueMs = dueInMs?.();
  if (dueMs === undefined) return wait(signal);
  const limitMs = Math.round(Math.max(dueMs - CALLER_MARGIN_MS, dueMs * CALLER_SHARE));
  const late = timeoutSignal(limitMs);
  try {
    return await withAnySignal([signal, late.signal], wait);
  } catch (thrown) {
    if (thrown !== late.signal.reason) throw thrown;
    throw new CallerLateError('DEADLINE_EXCEEDED', `not done within ${limitMs / 1000} s, the time of the caller`);
  } finally {
    late.clear();
  }
}
