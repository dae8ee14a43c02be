/** Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, with the flow control of 3.1), as far as Kubernetes uses them. */

export class SpdyError extends Error {}

export const CONTROL = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

export const FLAG_FIN = 1;

/** Status codes of RST_STREAM (section 2.6.3). */
export const RESET = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const;

export interface SpdyFrameEvents {
  /** Bytes of a data frame as they arrive. `last` is set when the client sends nothing more on this stream. */
  onData(streamId: number, bytes: Buffer, last: boolean): void;
  onControl(type: number, flags: number, payload: Buffer): void;
}

/** Status codes of GOAWAY (section 2.6.6). */
export const GO_AWAY = { ok: 0, protocolError: 1 } as const;

/**
 * Parses the client's bytes, in pieces of any size. Throws a SpdyError. Data frames are passed on without gathering
 * them.
 */
export function createSpdyFrameReader(events: SpdyFrameEvents): (bytes: Buffer) => void {
  let head: Buffer = EMPTY;
  let data: { readonly streamId: number; readonly fin: boolean; left: number } | undefined;
  let control: { readonly type: number; readonly flags: number; readonly payload: Buffer; filled: number } | undefined;

  const begin = (header: Buffer): void => {
    const first = header.readUInt32BE(0);
    const flags = header.readUInt8(4);
    const length = header.readUIntBE(5, 3);
    if (first < 0x80000000) {
      data = { streamId: first, fin: (flags & FLAG_FIN) !== 0, left: length };
      if (length === 0) takeData(EMPTY);
      return;
    }
    const version = (first >>> 16) & 0x7fff;
    if (version !== 3) throw new SpdyError(`spdy version ${version}`);
    if (length > MAX_CONTROL_BYTES) throw new SpdyError(`spdy control frame of ${length} bytes`);
    control = { type: first & 0xffff, flags, payload: Buffer.alloc(length), filled: 0 };
    if (length === 0) takeControl(EMPTY);
  };

  const takeData = (bytes: Buffer): number => {
    const current = data!;
    const piece = bytes.subarray(0, current.left);
    current.left -= piece.length;
    if (current.left === 0) data = undefined;
    events.onData(current.streamId, piece, current.left === 0 && current.fin);
    return piece.length;
  };

  const takeControl = (bytes: Buffer): number => {
    const current = control!;
    const count = bytes.copy(current.payload, current.filled);
    current.filled += count;
    if (current.filled < current.payload.length) return count;
    control = undefined;
    events.onControl(current.type, current.flags, current.payload);
    return count;
  };

  return (bytes) => {
    let rest = bytes;
    while (rest.length > 0) {
      if (data) {
        rest = rest.subarray(takeData(rest));
      } else if (control) {
        rest = rest.subarray(takeControl(rest));
      } else {
        const piece = rest.subarray(0, HEADER_BYTES - head.length);
        head = head.length === 0 ? piece : Buffer.concat([head, piece]);
        rest = rest.subarray(piece.length);
        if (head.length < HEADER_BYTES) {
          head = Buffer.from(head);
          return;
        }
        const header = head;
        head = EMPTY;
        begin(header);
      }
    }
  };
}

/** Returns the header of a data frame. */
export function dataHeader(streamId: number, length: number, fin: boolean): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt8(fin ? FLAG_FIN : 0, 4);
  header.writeUIntBE(length, 5, 3);
  return header;
}

export function controlFrame(type: number, flags: number, ...parts: readonly (Buffer | number)[]): Buffer {
  const payload = Buffer.concat(parts.map((part) => (typeof part === 'number' ? word(part) : part)));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(0x8003, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt8(flags, 4);
  header.writeUIntBE(payload.length, 5, 3);
  return Buffer.concat([header, payload]);
}

const HEADER_BYTES = 8;
const MAX_CONTROL_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
