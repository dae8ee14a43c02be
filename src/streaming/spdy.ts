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

/** One stream that the client has opened. */
export interface SpdyStream {
  readonly headers: SpdyHeaders;
  /** Sends; false: the client is slow. What comes after `finish` or a reset is dropped. */
  readonly send: (bytes: Uint8Array) => boolean;
  /** Ends this side of the stream. Idempotent. */
  readonly finish: () => void;
}

export interface StreamListener {
  onData(bytes: Buffer): void;
  /** The client sends no more. Once. */
  onEnd(): void;
  /** The client wants no more of it, in either direction; without it a reset is an end. */
  onReset?(): void;
}

export interface SpdyConnection {
  /** Takes the client's bytes; throws a SpdyError, of which the client has been told. */
  receive(bytes: Buffer): void;
  ping(): void;
  /** Says that no stream will be taken any more. */
  goAway(): void;
}

/**
 * The server's side of a connection. Neither side counts windows: Kubernetes' clients know no flow control by stream,
 * so a slow one is felt through the connection below.
 */
export function createSpdyConnection(options: {
  send: (...parts: readonly Uint8Array[]) => boolean;
  /** Answers who listens to a new stream, or undefined to refuse it. */
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
      // Late data of a stream that was reset is nothing to complain about.
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
          // They belong to the one zlib stream, though nobody asks for them.
          if (payload.length < 4) throw new SpdyError('spdy HEADERS is cut off');
          return void readHeaders(payload.subarray(4));
        case CONTROL.ping:
          // Its own come back with even numbers.
          return void (idOf(payload) % 2 === 1 && send(controlFrame(CONTROL.ping, 0, idOf(payload))));
        case CONTROL.synReply:
          throw new SpdyError('spdy SYN_REPLY from a client');
        default:
          // SETTINGS, WINDOW_UPDATE, GOAWAY and what a later version may bring.
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

/** Reads, and tells before it throws. */
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
