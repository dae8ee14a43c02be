import { systemCall } from './libc.js';

/** A point in time that the caller keeps and reuses, so that reading the clock allocates nothing. */
export interface Instant {
  /** Since the epoch. */
  seconds: number;
  nanos: number;
}

/** Reads the real-time clock into `instant`; Date has milliseconds only. */
export function readClock(instant: Instant): void {
  clockGettime.sync(CLOCK_REALTIME, timespec);
  instant.seconds = Number(timespec[0]);
  instant.nanos = Number(timespec[1]);
}

/**
 * Returns the time in nanoseconds since the epoch, the unit of CRI and containerd. Date is too coarse for items that a
 * kubelet sorts by time (events, the statuses of pods): two of them in one millisecond would have the same time.
 */
export function nowNs(): bigint {
  clockGettime.sync(CLOCK_REALTIME, timespec);
  return (timespec[0] ?? 0n) * 1_000_000_000n + (timespec[1] ?? 0n);
}

const CLOCK_REALTIME = 0;
const timespec = new BigInt64Array(2);
const clockGettime = systemCall('clock_gettime', ['int', 'int64_t *']);
