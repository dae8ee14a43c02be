import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { Code, CriError } from '../base/errors.js';
import { encodeStatusText, framed, MAX_GRPC_BYTES } from '../base/grpc-message.js';
import { shortened } from '../base/shortened.js';

/** The response of one call: messages, and then a status. */
export interface Answer {
  /** Aborts when the client has gone before the status was sent. */
  readonly signal: AbortSignal;
  /** Whether the status has been sent, or the client has gone. */
  isOver(): boolean;
  /** Sends a message and the status OK. RESOURCE_EXHAUSTED when it is larger than a client accepts. */
  finish(message: Uint8Array): void;
  /** Sends one of several messages; resolves when the client has room for the next one. RESOURCE_EXHAUSTED as above. */
  send(message: Uint8Array): Promise<void>;
  /** Sends the status OK after the messages of `send`. */
  end(): void;
  /** Sends the status of an error. Does nothing when the call is over. */
  fail(error: CriError): void;
  /** As `fail` while the handler still runs: aborts `signal`, too. */
  cutOff(error: CriError): void;
}

const HEADERS = {
  ':status': constants.HTTP_STATUS_OK,
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity',
};
const OK = { 'grpc-status': '0' };

export function createAnswer(stream: ServerHttp2Stream): Answer {
  let controller: AbortController | undefined;
  let hasEnded = false;
  let trailers: Readonly<Record<string, string>> = OK;

  /** A stream that its client has reset is closed before its event `close`; Node throws when it is answered then. */
  const isOver = (): boolean => hasEnded || stream.closed || stream.destroyed;
  const signal = (): AbortSignal => {
    controller ??= new AbortController();
    if (isOver()) controller.abort();
    return controller.signal;
  };
  stream.once('close', () => {
    if (hasEnded) return;
    hasEnded = true;
    controller?.abort();
  });
  const begin = (): void => {
    if (stream.headersSent) return;
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    stream.respond(HEADERS, { waitForTrailers: true });
  };

  const fail = ({ code, message }: CriError): void => {
    if (isOver()) return;
    hasEnded = true;
    trailers = { 'grpc-status': String(Code[code]), 'grpc-message': encodeStatusText(shortened(message)) };
    if (stream.headersSent) stream.end();
    else stream.respond({ ...HEADERS, ...trailers }, { endStream: true });
    stream.resume();
  };

  return {
    // Most calls of a node do not look at it.
    get signal() {
      return signal();
    },
    isOver,
    finish(message) {
      checkSize(message);
      if (isOver()) return;
      begin();
      hasEnded = true;
      stream.end(framed(message));
    },
    async send(message) {
      checkSize(message);
      if (isOver()) return;
      begin();
      if (stream.write(framed(message)) || isOver()) return;
      await once(stream, 'drain', { signal: signal() }).catch(() => undefined);
    },
    end() {
      if (isOver()) return;
      begin();
      hasEnded = true;
      stream.end();
    },
    fail,
    cutOff(error) {
      fail(error);
      controller?.abort();
    },
  };
}

function checkSize({ length }: Uint8Array): void {
  if (length <= MAX_GRPC_BYTES) return;
  throw new CriError('RESOURCE_EXHAUSTED', `sent message larger than max (${length} vs. ${MAX_GRPC_BYTES})`);
}
