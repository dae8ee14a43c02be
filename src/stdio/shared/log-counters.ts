import { isMainThread, workerData } from 'node:worker_threads';

/**
 * Two counters: log bytes written and dropped since crid started, in memory shared by the copying threads and the
 * server.
 */
const SIZE = 2 * BigUint64Array.BYTES_PER_ELEMENT;

const shared = (isMainThread ? undefined : workerData) as
  { logCounters?: SharedArrayBuffer; failingLogs?: Int32Array } | undefined | null;

export const logCounterBuffer: SharedArrayBuffer = shared?.logCounters ?? new SharedArrayBuffer(SIZE);

const counters = new BigUint64Array(logCounterBuffer);
const WRITTEN = 0;
const DROPPED = 1;

/**
 * The number of logs that cannot be written now, in one cell per copying thread: the cell of a dead thread is dropped.
 */
const cells = new Set<Int32Array>();
const ownCell = shared?.failingLogs ?? newFailingCell();

export const countWritten = (bytes: number): void => void Atomics.add(counters, WRITTEN, BigInt(bytes));
export const countDropped = (bytes: number): void => void Atomics.add(counters, DROPPED, BigInt(bytes));

/** Changes the number of logs that cannot be written now. */
export const countFailing = (change: 1 | -1): void => void Atomics.add(ownCell, 0, change);

/** Makes the cell of a new copying thread. */
export function newFailingCell(): Int32Array {
  const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  cells.add(cell);
  return cell;
}

export const dropFailingCell = (cell: Int32Array): void => void cells.delete(cell);

export const logCounts = (): { readonly written: bigint; readonly dropped: bigint; readonly failing: bigint } => ({
  written: Atomics.load(counters, WRITTEN),
  dropped: Atomics.load(counters, DROPPED),
  failing: BigInt([...cells].reduce((sum, cell) => sum + Atomics.load(cell, 0), 0)),
});
