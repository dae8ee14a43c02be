/** Memory that a copying thread shares with the server (server/log-counters.ts). */
export interface LogCells {
  /** The log bytes of all copying threads: at WRITTEN and at DROPPED. */
  readonly bytes: BigUint64Array;
  /** Has one cell: the number of this thread's logs that cannot be written now. */
  readonly failing: Int32Array;
}

export const WRITTEN = 0;
export const DROPPED = 1;

/** Counts for one copying thread. */
export interface LogCounter {
  written(bytes: number): void;
  dropped(bytes: number): void;
  /** Changes the number of logs that cannot be written now. */
  failing(change: 1 | -1): void;
}

export const createLogCounter = (cells: LogCells): LogCounter => ({
  written: (bytes) => void Atomics.add(cells.bytes, WRITTEN, BigInt(bytes)),
  dropped: (bytes) => void Atomics.add(cells.bytes, DROPPED, BigInt(bytes)),
  failing: (change) => void Atomics.add(cells.failing, 0, change),
});
