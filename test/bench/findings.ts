import type { ProcessResult } from './processes.js';
import type { PerMinute } from './growth/rhythm.js';
import type { FloorRow } from './floor/floor-timer.js';

/** Results that are not times of CRI calls. Each part adds its own. */
export interface Findings {
  readonly floor: FloorRow[];
  readonly traced: TracedRow[];
  readonly minutes: (PerMinute & { readonly what: string })[];
  /** Milliseconds of the calls that only crid has, on the full node. */
  readonly onlyCrid: Record<string, number[]>;
  /** The servers on the full node. */
  readonly fullNode: ProcessResult[];
}

/** The CPU time of crid with and without a record of the last calls. */
export interface TracedRow {
  readonly what: string;
  /** The number of calls on each side. */
  readonly calls: number;
  /** CPU seconds per 1,000 calls. */
  readonly offS: number;
  readonly onS: number;
}
