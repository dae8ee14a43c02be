import type { Instant } from '../host/clock.js';

/** Writes an instant as RFC 3339 with nanoseconds, trailing zeros dropped, in local time; answers the new end. */
export type TimestampWriter = (target: Buffer, at: number, instant: Instant) => number;

/** Room for the longest form: `2026-11-24T02:07:33.123456789+02:00`. */
export const TIMESTAMP_MAX_BYTES = 35;

/**
 * The log format's times (CRI `LogDirectory`: RFC3339Nano): `.5` for half a second, no fraction for a whole one, `Z` for
 * UTC, else the offset.
 */
export function createTimestampWriter(): TimestampWriter {
  let cachedSecond = Number.NaN;
  const head = Buffer.alloc(19);
  let tail = Buffer.alloc(0);
  return (target, at, { seconds, nanos }) => {
    if (seconds !== cachedSecond) {
      cachedSecond = seconds;
      const date = new Date(seconds * 1000);
      const offsetMinutes = -date.getTimezoneOffset();
      head.write(new Date((seconds + offsetMinutes * 60) * 1000).toISOString(), 0, 19, 'latin1');
      tail = Buffer.from(formatOffset(offsetMinutes), 'latin1');
    }
    head.copy(target, at);
    const end = writeFraction(target, at + head.length, nanos);
    tail.copy(target, end);
    return end + tail.length;
  };
}

function writeFraction(target: Buffer, at: number, nanos: number): number {
  if (nanos === 0) return at;
  let digits = 9;
  let rest = nanos;
  for (; rest % 10 === 0; rest /= 10) digits -= 1;
  target[at] = 0x2e;
  for (let index = digits; index > 0; index -= 1) {
    target[at + index] = 0x30 + (rest % 10);
    rest = Math.trunc(rest / 10);
  }
  return at + 1 + digits;
}

function formatOffset(minutes: number): string {
  if (minutes === 0) return 'Z';
  const two = (value: number): string => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(size / 60))}:${two(size % 60)}`;
}
