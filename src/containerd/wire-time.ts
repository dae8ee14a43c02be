import type { Timestamp } from '../../generated/google/protobuf/timestamp.js';

/** Go's zero time.Time, which containerd sends for "not yet". */
const GO_ZERO_SECONDS = -62135596800n;

/** Nanoseconds since the epoch; 0n for a missing time and for Go's zero time. */
export function timestampNs(timestamp: Timestamp | undefined): bigint {
  if (timestamp === undefined || timestamp.seconds <= GO_ZERO_SECONDS) return 0n;
  return timestamp.seconds * 1_000_000_000n + BigInt(timestamp.nanos);
}

export const timestampMs = (timestamp: Timestamp | undefined): number => Number(timestampNs(timestamp) / 1_000_000n);
