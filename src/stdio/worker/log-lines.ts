import type { Instant } from '../../host/syscall/clock.js';
import type { StreamName } from '../shared/copy-messages.js';
import { createTimestampWriter, put, TIMESTAMP_MAX_BYTES } from './timestamp.js';

/** Takes whole formatted lines, made from `bytes` bytes of the stream. The sink must not keep the buffer. */
export type LineSink = (lines: Buffer, bytes: number) => void;

/**
 * Splits one stream into lines of the CRI log format, `<time> <stdout|stderr> <P|F> <content>\n`. F is the last or only
 * piece of a line; P is an earlier piece, or a last line without its newline. A carriage return before the newline is
 * dropped, as containerd's own CRI does.
 */
export interface LogLines {
  /** Formats all complete lines and full pieces, and keeps the rest: an unfinished line. */
  push(chunk: Buffer): void;
  /** Bytes of the unfinished line that is kept. */
  readonly heldBytes: number;
  /** Formats the kept bytes as a last line. */
  end(): void;
}

/** `maxLineBytes` <= 0 means 16 MiB, which is the limit in any case. `clock` sets the time that a batch was read. */
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

  const hold = (chunk: Buffer, from: number): void => {
    const size = heldLength + chunk.length - from;
    if (size > held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(size, held.length * 2, 1024));
      held.copy(grown, 0, 0, heldLength);
      held = grown;
    }
    heldLength += chunk.copy(held, heldLength, from);
  };

  /**
   * Writes one line of `length` bytes, from `held` and then from chunk[from…]; returns where in the chunk the rest
   * begins.
   */
  const say = (tag: number, chunk: Buffer, from: number, length: number): number => {
    const fromHeld = Math.min(heldLength, length);
    const end = from + length - fromHeld;
    output.head(tag, length);
    if (fromHeld > 0) output.append(held, 0, fromHeld);
    output.append(chunk, from, end);
    output.newline();
    if (fromHeld > 0) {
      held.copyWithin(0, fromHeld, heldLength);
      heldLength -= fromHeld;
    }
    return end;
  };

  /** Writes P lines while more than one full piece is known; `to` is the end of the content. */
  const split = (chunk: Buffer, from: number, to: number): number => {
    let start = from;
    while (heldLength + to - start > limit) start = say(PARTIAL, chunk, start, limit);
    return start;
  };

  /** Writes the line that ends at `newline`. */
  const finish = (chunk: Buffer, from: number, newline: number): void => {
    let to = newline;
    let endBytes = 1;
    if (newline > from ? chunk[newline - 1] === RETURN : heldLength > 0 && held[heldLength - 1] === RETURN) {
      // A carriage return of an earlier chunk is in `held`: remove it there.
      if (newline > from) to -= 1;
      else heldLength -= 1;
      endBytes = 2;
    }
    const start = split(chunk, from, to);
    say(FULL, chunk, start, heldLength + to - start);
    output.passOver(endBytes);
  };

  return {
    push(chunk) {
      output.begin();
      let start = 0;
      for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, start)) {
        finish(chunk, start, newline);
        start = newline + 1;
      }
      // A carriage return at the end of the chunk may belong to a newline in the next chunk.
      const to = chunk.length > start && chunk[chunk.length - 1] === RETURN ? chunk.length - 1 : chunk.length;
      start = split(chunk, start, to);
      output.flush();
      hold(chunk, start);
    },
    get heldBytes() {
      return heldLength;
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
const SPACE = 0x20;
const RETURN = 0x0d;
const PARTIAL = 0x50;
const FULL = 0x46;
const NOTHING = Buffer.alloc(0);

// Shared by all streams of a thread: a batch is formatted and written before the next one begins.
let sharedOutput = Buffer.alloc(0);

function createOutput(stream: StreamName, clock: (instant: Instant) => void, sink: LineSink) {
  const writeTimestamp = createTimestampWriter();
  const name = Buffer.from(` ${stream} `, 'latin1');
  const instant: Instant = { seconds: 0, nanos: 0 };
  let buffer = sharedOutput;
  let length = 0;
  let saidBytes = 0;

  const flush = (): void => {
    if (length > 0) sink(buffer.subarray(0, length), saidBytes);
    length = 0;
    saidBytes = 0;
  };

  /** Flushes only between lines, so that the sink gets whole lines and their exact number of stream bytes. */
  const makeRoom = (bytes: number): void => {
    if (length + bytes <= buffer.length) return;
    flush();
    if (bytes > buffer.length) buffer = sharedOutput = Buffer.allocUnsafeSlow(Math.max(bytes, OUTPUT_BYTES));
  };

  return {
    begin(): void {
      clock(instant);
      buffer = sharedOutput;
    },
    flush,
    head(tag: number, contentBytes: number): void {
      makeRoom(HEAD_MAX_BYTES + contentBytes + 1);
      length = put(buffer, writeTimestamp(buffer, length, instant), name);
      buffer[length] = tag;
      buffer[length + 1] = SPACE;
      length += 2;
      // 1 ns per line keeps lines of one batch distinct and in order for tools that sort or compare by time.
      instant.nanos += 1;
      if (instant.nanos === 1_000_000_000) {
        instant.seconds += 1;
        instant.nanos = 0;
      }
    },
    append(source: Buffer, from: number, to: number): void {
      length += source.copy(buffer, length, from, to);
      saidBytes += to - from;
    },
    newline(): void {
      buffer[length] = NEWLINE;
      length += 1;
    },
    /** Counts stream bytes that are in no line: the line's end. */
    passOver(bytes: number): void {
      saidBytes += bytes;
    },
  };
}
