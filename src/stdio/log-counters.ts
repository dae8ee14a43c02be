import { isMainThread, workerData } from 'node:worker_threads';

/** Bytes of log lines since crid started and logs that cannot be written, in memory that the copying thread and the server share. */
const SIZE = 3 * BigUint64Array.BYTES_PER_ELEMENT;

export const logCounterBuffer: SharedArrayBuffer =
  (isMainThread ? undefined : (workerData as { logCounters?: SharedArrayBuffer } | null)?.logCounters) ??
  new SharedArrayBuffer(SIZE);

const counters = new BigUint64Array(logCounterBuffer);
const WRITTEN = 0;
const DROPPED = 1;
const FAILING = 2;

export const countWritten = (bytes: number): void => void Atomics.add(counters, WRITTEN, BigInt(bytes));
export const countDropped = (bytes: number): void => void Atomics.add(counters, DROPPED, BigInt(bytes));

/** Logs that cannot be written now: one more, or one less. */
export const countFailing = (change: 1 | -1): void => void Atomics.add(counters, FAILING, BigInt(change));
/** A new copying thread finds out anew. */
export const forgetFailing = (): void => void Atomics.store(counters, FAILING, 0n);

export const logCounts = (): { readonly written: bigint; readonly dropped: bigint; readonly failing: bigint } => ({
  written: Atomics.load(counters, WRITTEN),
  dropped: Atomics.load(counters, DROPPED),
  failing: Atomics.load(counters, FAILING),
});
