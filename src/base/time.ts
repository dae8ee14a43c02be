import { CriError } from './errors.js';

/**
 * Now in nanoseconds since the epoch, as CRI and containerd count, to the millisecond: Node's finer clock counts from
 * the start of the process and misses every later change of the node's time.
 */
export const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

/** Resolves after `ms`; rejects at once when `signal` aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(CriError.from(signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
