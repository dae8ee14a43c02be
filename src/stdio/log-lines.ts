import type { Instant } from '../host/clock.js';
import type { StreamName } from './messages.js';
import { createTimestampWriter, TIMESTAMP_MAX_BYTES } from './timestamp.js';

/** Where formatted lines go: called with whole lines, or with a part of one longer than the buffer; kept nowhere. */
export type LineSink = (bytes: Buffer) => void;

/**
 * Cuts one stream into lines of the CRI log format, `<time> <stdout|stderr> <P|F> <content>\n`. F ends a line; P is a
 * piece of a line that goes on, or a last line without its newline. A carriage return before the newline is dropped, as
 * containerd's own CRI does.
 */
export interface LogLines {
  /** Formats what of `chunk` can be said now and answers how many of its bytes that was; the rest is an unfinished line. */
  push(chunk: Buffer): number;
  /** Keeps an unfinished line's bytes, which then precede the next `push`. */
  take(rest: Buffer): void;
  /** The stream has ended: what was taken is a last line. */
  end(): void;
}

/** `maxLineBytes` <= 0 means no limit but that of memory, 16 MiB. `clock` sets the time that a batch was read. */
export function createLogLines(
  stream: StreamName,
  maxLineBytes: number,
  clock: (instant: Instant) => void,
  sink: LineSink,
): LogLines {
  const limit = maxLineBytes > 0 ? Math.min(maxLineBytes, UNLIMITED_BYTES) : UNLIMITED_BYTES;
  const output = createOutput(stream, clock, sink);
  let held = Buffer.alloc(0);
  let heldLength = 0;

  const reserve = (size: number): void => {
    if (size <= held.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(size, held.length * 2, 1024));
    held.copy(grown, 0, 0, heldLength);
    held = grown;
  };

  /** Says `length` bytes of what is held and then of chunk[from…]; answers where in the chunk the rest begins. */
  const say = (tag: number, chunk: Buffer, from: number, length: number): number => {
    const fromHeld = Math.min(heldLength, length);
    output.head(tag);
    output.append(held, 0, fromHeld);
    const end = from + length - fromHeld;
    output.append(chunk, from, end);
    output.newline();
    held.copyWithin(0, fromHeld, heldLength);
    heldLength -= fromHeld;
    return end;
  };

  /** Says pieces as long as more than a whole piece is known; `to` ends the content. */
  const split = (chunk: Buffer, from: number, to: number): number => {
    let start = from;
    while (heldLength + to - start > limit) start = say(PARTIAL, chunk, start, limit);
    return start;
  };

  const lastByte = (chunk: Buffer, from: number, to: number): number | undefined =>
    to > from ? chunk[to - 1] : heldLength > 0 ? held[heldLength - 1] : undefined;

  return {
    push(chunk) {
      output.begin();
      let start = 0;
      for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, start)) {
        const isReturn = lastByte(chunk, start, newline) === RETURN;
        // A return that was taken earlier lies in `held`: forget it there.
        if (isReturn && newline === start) heldLength -= 1;
        const to = isReturn && newline > start ? newline - 1 : newline;
        start = split(chunk, start, to);
        say(FULL, chunk, start, heldLength + to - start);
        start = newline + 1;
      }
      // A return at the very end may belong to a newline that has not come yet.
      const to = chunk.length > start && chunk[chunk.length - 1] === RETURN ? chunk.length - 1 : chunk.length;
      start = split(chunk, start, to);
      output.flush();
      return start;
    },
    take(rest) {
      reserve(heldLength + rest.length);
      rest.copy(held, heldLength);
      heldLength += rest.length;
    },
    end() {
      if (heldLength === 0) return;
      output.begin();
      split(NOTHING, 0, 0);
      say(PARTIAL, NOTHING, 0, heldLength);
      output.flush();
    },
  };
}

const UNLIMITED_BYTES = 16 * 1024 * 1024;
const OUTPUT_BYTES = 512 * 1024;
const HEAD_MAX_BYTES = TIMESTAMP_MAX_BYTES + ' stdout F '.length;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const PARTIAL = 0x50;
const FULL = 0x46;
const NOTHING = Buffer.alloc(0);

// One for all streams of a thread: a batch is formatted and written before the next one begins.
let sharedOutput: Buffer | undefined;

function createOutput(stream: StreamName, clock: (instant: Instant) => void, sink: LineSink) {
  const buffer = (sharedOutput ??= Buffer.allocUnsafeSlow(OUTPUT_BYTES));
  const writeTimestamp = createTimestampWriter();
  const name = Buffer.from(` ${stream} `, 'latin1');
  const instant: Instant = { seconds: 0, nanos: 0 };
  let length = 0;

  const flush = (): void => {
    if (length > 0) sink(buffer.subarray(0, length));
    length = 0;
  };
  return {
    begin: (): void => clock(instant),
    flush,
    head(tag: number): void {
      if (length + HEAD_MAX_BYTES > buffer.length) flush();
      length = writeTimestamp(buffer, length, instant);
      length += name.copy(buffer, length);
      buffer[length] = tag;
      buffer[length + 1] = 0x20;
      length += 2;
      // Lines of one batch stay distinct and in order for tools that sort or compare by time.
      instant.nanos += 1;
      if (instant.nanos === 1_000_000_000) {
        instant.seconds += 1;
        instant.nanos = 0;
      }
    },
    append(source: Buffer, from: number, to: number): void {
      for (let at = from; at < to;) {
        if (length === buffer.length) flush();
        const copied = source.copy(buffer, length, at, to);
        length += copied;
        at += copied;
      }
    },
    newline(): void {
      if (length === buffer.length) flush();
      buffer[length] = NEWLINE;
      length += 1;
    },
  };
}
