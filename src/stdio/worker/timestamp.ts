import type { Instant } from '../../host/syscall/clock.js';

/** Writes an instant as RFC 3339 with nanoseconds, trailing zeros dropped, in local time; returns the new end. */
export type TimestampWriter = (target: Buffer, at: number, instant: Instant) => number;

/** The length of the longest form: `2026-11-24T02:07:33.123456789+02:00`. */
export const TIMESTAMP_MAX_BYTES = 35;

/**
 * Writes times of the log format (CRI `LogDirectory`: RFC3339Nano): `.5` for half a second, no fraction for a whole
 * one, `Z` for UTC, else the offset. It is called for each line of each log: a loop over a few bytes is faster than
 * Buffer's methods.
 */
export function createTimestampWriter(): TimestampWriter {
  let cachedSecond = Number.NaN;
  const head = Buffer.alloc('2026-11-24T02:07:33'.length);
  let tail = Buffer.alloc(0);
  return (target, at, { seconds, nanos }) => {
    if (seconds !== cachedSecond) {
      cachedSecond = seconds;
      const date = new Date(seconds * 1000);
      const offsetMinutes = -date.getTimezoneOffset();
      head.write(new Date((seconds + offsetMinutes * 60) * 1000).toISOString(), 0, head.length, 'latin1');
      tail = Buffer.from(formatOffset(offsetMinutes), 'latin1');
    }
    return put(target, writeFraction(target, put(target, at, head), nanos), tail);
  };
}

/** Copies a few bytes; returns the offset after them. */
export function put(target: Buffer, at: number, bytes: Buffer): number {
  for (let index = 0; index < bytes.length; index += 1) target[at + index] = bytes[index] as number;
  return at + bytes.length;
}

function writeFraction(target: Buffer, at: number, nanos: number): number {
  if (nanos === 0) return at;
  let digits = 9;
  // `| 0` tells the compiler that these are integers below 2^31.
  let rest = nanos | 0;
  while (rest % 10 === 0) {
    rest = (rest / 10) | 0;
    digits -= 1;
  }
  target[at] = 0x2e;
  for (let index = digits; index > 0; index -= 1) {
    const next = (rest / 10) | 0;
    target[at + index] = 0x30 + rest - next * 10;
    rest = next;
  }
  return at + 1 + digits;
}

function formatOffset(minutes: number): string {
  if (minutes === 0) return 'Z';
  const two = (value: number): string => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(size / 60))}:${two(size % 60)}`;
}
