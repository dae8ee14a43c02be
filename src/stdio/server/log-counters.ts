import { DROPPED, WRITTEN, type LogCells } from '../shared/log-counter.js';
import type { LogCounts } from '../stdio.js';

/** The counts of all copying threads, in memory that they share with the server. */
export interface LogCounters {
  /** Makes the cells of a new copying thread. */
  cellsOfThread(): LogCells;
  /** Takes the failing logs of a dead thread from the counts. The thread that replaces it counts them again. */
  forget(cells: LogCells): void;
  counts(): LogCounts;
}

export function createLogCounters(): LogCounters {
  const bytes = new BigUint64Array(new SharedArrayBuffer(2 * BigUint64Array.BYTES_PER_ELEMENT));
  const failing = new Set<Int32Array>();
  return {
    cellsOfThread() {
      const own = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
      failing.add(own);
      return { bytes, failing: own };
    },
    forget: (cells) => void failing.delete(cells.failing),
    counts: () => ({
      written: Atomics.load(bytes, WRITTEN),
      dropped: Atomics.load(bytes, DROPPED),
      failing: BigInt([...failing].reduce((sum, cell) => sum + Atomics.load(cell, 0), 0)),
    }),
  };
}
