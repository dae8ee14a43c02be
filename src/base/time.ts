import { CriError } from './errors.js';

/**
 * Node fires a timer at once if its delay is longer (https://nodejs.org/api/timers.html#settimeoutcallback-delay-args).
 */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The wall clock, in milliseconds since the epoch, for times that are shown or stored. It may step forwards and
 * backwards: measure durations and deadlines with `performance.now()`.
 */
export const wallMs = (): number => Date.now();

export interface Timer {
  clear(): void;
}

/** Calls `onEnd` after `ms`, which may exceed MAX_TIMER_MS; never if `ms` is Infinity. */
export function startTimer(ms: number, onEnd: () => void): Timer {
  const endMs = performance.now() + ms;
  let timer: NodeJS.Timeout | undefined;
  const wait = (remainingMs: number): void => {
    if (remainingMs <= MAX_TIMER_MS) timer = setTimeout(onEnd, Math.max(0, remainingMs));
    else timer = setTimeout(() => wait(endMs - performance.now()), MAX_TIMER_MS);
  };
  wait(ms);
  return { clear: () => clearTimeout(timer) };
}

/**
 * A signal that aborts with DEADLINE_EXCEEDED after `ms`, which may exceed MAX_TIMER_MS. `clear` releases its timer.
 */
export function timeoutSignal(ms: number): Timer & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const late = (): void => controller.abort(new CriError('DEADLINE_EXCEEDED', `not done within ${ms / 1000} s`));
  return { signal: controller.signal, ...startTimer(ms, late) };
}

/** Returns the result of `work`, or that of `late` if `work` takes longer than `ms`. `work` is not cancelled. */
export async function withLimit<T>(work: Promise<T>, ms: number, late: () => T): Promise<T> {
  let timer: Timer | undefined;
  const limit = new Promise<void>((resolve) => (timer = startTimer(ms, resolve)));
  try {
    return await Promise.race([work, limit.then(late)]);
  } finally {
    timer?.clear();
  }
}

/** Returns the result of `work`. Rejects with the signal's reason if `signal` aborts first; `work` is not cancelled. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(CriError.from(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Resolves after `ms`. Rejects at once with the signal's reason when `signal` aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.clear();
      reject(CriError.from(signal?.reason));
    };
    const timer = startTimer(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
