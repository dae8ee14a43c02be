import { isMainThread, workerData } from 'node:worker_threads';

/** Bytes of log lines since crid started, in memory that the copying threads and the server share. */
const SIZE = 2 * BigUint64Array.BYTES_PER_ELEMENT;

const shared = (isMainThread ? undefined : workerData) as
  { logCounters?: SharedArrayBuffer; failingLogs?: Int32Array } | undefined | null;

export const logCounterBuffer: SharedArrayBuffer = shared?.logCounters ?? new SharedArrayBuffer(SIZE);

const counters = new BigUint64Array(logCounterBuffer);
const WRITTEN = 0;
const DROPPED = 1;

/** The logs that cannot be written now, a cell for each copying thread: a thread that dies takes its number along. */
const cells = new Set<Int32Array>();
const ownCell = shared?.failingLogs ?? newFailingCell();

export const countWritten = (bytes: number): void => void Atomics.add(counters, WRITTEN, BigInt(bytes));
export const countDropped = (bytes: number): void => void Atomics.add(counters, DROPPED, BigInt(bytes));

/** Logs that cannot be written now: one more, or one less. */
export const countFailing = (change: 1 | -1): void => void Atomics.add(ownCell, 0, change);

/** The cell of a new copying thread. */
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
