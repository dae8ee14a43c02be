import {
  CONTROL,
  controlFrame,
  createSpdyFrameReader,
  dataHeader,
  FLAG_FIN,
  GO_AWAY,
  RESET,
  SpdyError,
} from './spdy-frames.js';
import { createHeaderReader, createHeaderWriter, type SpdyHeaders } from './spdy-headers.js';

/** A stream that the client opened. */
export interface SpdyStream {
  readonly headers: SpdyHeaders;
  /** Sends bytes. Returns false when the client is slow. Bytes after `finish` or a reset are dropped. */
  readonly send: (bytes: Uint8Array) => boolean;
  /** Ends this side of the stream. Idempotent. */
  readonly finish: () => void;
}

export interface StreamListener {
  onData(bytes: Buffer): void;
  /** Called once, when the client sends nothing more. */
  onEnd(): void;
  /** The client cancelled both directions of the stream. Without this method, a reset counts as an end. */
  onReset?(): void;
}

export interface SpdyConnection {
  /** Handles bytes of the client. On a protocol error, sends GOAWAY and then throws a SpdyError. */
  receive(bytes: Buffer): void;
  ping(): void;
  /** Tells the client that no further stream will be accepted. */
  goAway(): void;
}

/**
 * The server's side of a connection. It ignores window sizes, because Kubernetes' clients do not use flow control per
 * stream. A slow stream therefore slows the whole connection.
 */
export function createSpdyConnection(options: {
  send: (...parts: readonly Uint8Array[]) => boolean;
  /** Returns the listener of a new stream, or undefined to refuse it. */
  onStream: (stream: SpdyStream) => StreamListener | undefined;
}): SpdyConnection {
  const { send } = options;
  const readHeaders = createHeaderReader();
  const writeHeaders = createHeaderWriter();
  const streams = new Map<number, OpenStream>();
  let lastStreamId = 0;
  let lastPing = 0;

  const closeIfDone = (id: number, open: OpenStream): void => {
    if (open.sent && open.received) streams.delete(id);
  };

  const receivedAll = (id: number, open: OpenStream): void => {
    if (open.received) return;
    open.received = true;
    closeIfDone(id, open);
    open.listener?.onEnd();
  };

  const synStream = (flags: number, payload: Buffer): void => {
    if (payload.length < 10) throw new SpdyError('spdy SYN_STREAM is cut off');
    const id = payload.readUInt32BE(0) & 0x7fffffff;
    const headers = readHeaders(payload.subarray(10));
    if (id % 2 === 0 || id <= lastStreamId) throw new SpdyError(`spdy stream id ${id} after ${lastStreamId}`);
    lastStreamId = id;
    if (streams.size >= MAX_STREAMS) return void send(controlFrame(CONTROL.rstStream, 0, id, RESET.refusedStream));
    const open: OpenStream = { listener: undefined, sent: false, received: false };
    streams.set(id, open);
    open.listener = options.onStream(streamOf(id, open, headers));
    if (!open.listener) return reset(id, RESET.refusedStream);
    send(controlFrame(CONTROL.synReply, 0, id, writeHeaders(NO_HEADERS)));
    if ((flags & FLAG_FIN) !== 0) receivedAll(id, open);
  };

  const streamOf = (id: number, open: OpenStream, headers: SpdyHeaders): SpdyStream => ({
    headers,
    send: (bytes) => open.sent || bytes.length === 0 || send(dataHeader(id, bytes.length, false), bytes),
    finish() {
      if (open.sent) return;
      open.sent = true;
      send(dataHeader(id, 0, true));
      closeIfDone(id, open);
    },
  });

  const reset = (id: number, reason: number): void => {
    streams.delete(id);
    send(controlFrame(CONTROL.rstStream, 0, id, reason));
  };

  const rstStream = (payload: Buffer): void => {
    const id = idOf(payload);
    const open = streams.get(id);
    if (!open) return;
    open.sent = true;
    streams.delete(id);
    if (open.listener?.onReset) open.listener.onReset();
    else receivedAll(id, open);
  };

  const read = createSpdyFrameReader({
    onData(id, bytes, last) {
      const open = streams.get(id);
      // Data may still arrive for a stream that was reset. Ignore it.
      if (!open || open.received) return;
      if (bytes.length > 0) open.listener?.onData(bytes);
      if (last) receivedAll(id, open);
    },
    onControl(type, flags, payload) {
      switch (type) {
        case CONTROL.synStream:
          return synStream(flags, payload);
        case CONTROL.rstStream:
          return rstStream(payload);
        case CONTROL.headers:
          // The headers belong to the connection's zlib stream, so they must be inflated although no code uses them.
          if (payload.length < 4) throw new SpdyError('spdy HEADERS is cut off');
          return void readHeaders(payload.subarray(4));
        case CONTROL.ping:
          // Reply only to the client's pings, which have odd ids. An even id is the reply to one of ours.
          return void (idOf(payload) % 2 === 1 && send(controlFrame(CONTROL.ping, 0, idOf(payload))));
        case CONTROL.synReply:
          throw new SpdyError('spdy SYN_REPLY from a client');
        default:
          // Ignore SETTINGS, WINDOW_UPDATE, GOAWAY and frames of later versions.
          return;
      }
    },
  });

  const goAway = (status: number): void => void send(controlFrame(CONTROL.goAway, 0, lastStreamId, status));

  return {
    receive: telling(read, () => goAway(GO_AWAY.protocolError)),
    ping: () => void send(controlFrame(CONTROL.ping, 0, (lastPing = (lastPing + 2) & 0x7ffffffe))),
    goAway: () => goAway(GO_AWAY.ok),
  };
}

/** Wraps a reader: on a protocol error it sends the status to the client before it throws. */
const telling =
  (read: (bytes: Buffer) => void, tell: () => void) =>
  (bytes: Buffer): void => {
    try {
      read(bytes);
    } catch (thrown) {
      tell();
      throw thrown;
    }
  };

interface OpenStream {
  listener: StreamListener | undefined;
  sent: boolean;
  received: boolean;
}

const MAX_STREAMS = 4096;
const NO_HEADERS: SpdyHeaders = new Map();

function idOf(payload: Buffer): number {
  if (payload.length < 4) throw new SpdyError('spdy control frame is cut off');
  return payload.readUInt32BE(0);
}
