import { systemCall } from './libc.js';

/** A point in time that its owner keeps and overwrites, so that reading the clock allocates nothing. */
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
 * Now in nanoseconds since the epoch, as CRI and containerd count. Date is no clock for what a kubelet sorts by its time
 * (events, the statuses of pods): two of them in one millisecond would be of the same age.
 */
export function nowNs(): bigint {
  clockGettime.sync(CLOCK_REALTIME, timespec);
  return (timespec[0] ?? 0n) * 1_000_000_000n + (timespec[1] ?? 0n);
}

const CLOCK_REALTIME = 0;
const timespec = new BigInt64Array(2);
const clockGettime = systemCall('clock_gettime', ['int', 'int64_t *']);
