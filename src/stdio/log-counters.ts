import { isMainThread, workerData } from 'node:worker_threads';

/** Bytes of log lines since crid started, in memory that the copying thread and the server share. */
const SIZE = 2 * BigUint64Array.BYTES_PER_ELEMENT;

export const logCounterBuffer: SharedArrayBuffer =
  (isMainThread ? undefined : (workerData as { logCounters?: SharedArrayBuffer } | null)?.logCounters) ??
  new SharedArrayBuffer(SIZE);

const counters = new BigUint64Array(logCounterBuffer);
const WRITTEN = 0;
const DROPPED = 1;

export const countWritten = (bytes: number): void => void Atomics.add(counters, WRITTEN, BigInt(bytes));
export const countDropped = (bytes: number): void => void Atomics.add(counters, DROPPED, BigInt(bytes));

export const logBytes = (): { readonly written: bigint; readonly dropped: bigint } => ({
  written: Atomics.load(counters, WRITTEN),
  dropped: Atomics.load(counters, DROPPED),
});
