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

const CLOCK_REALTIME = 0;
const timespec = new BigInt64Array(2);
const clockGettime = systemCall('clock_gettime', ['int', 'int64_t *']);
