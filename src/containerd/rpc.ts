import {
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { Code, CriError } from '../base/errors.js';
import { collectMessage, createMessageReader, decodeStatusText, framed } from '../base/grpc-message.js';

/**
 * gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), as far as containerd needs it:
 * without compression, load balancing, name resolution and TLS.
 */

/** A call that did not end with the status OK. */
export class RpcError extends Error {
  constructor(
    /** A gRPC status code. */
    readonly code: number,
    readonly details: string,
    /** The server has not begun the call, so even a write can be sent again. */
    readonly neverSent = false,
  ) {
    super(details);
  }
}

const OK = '0';

export interface UnaryCall {
  readonly response: Promise<Buffer>;
  /** Rejects the response and tells the server. */
  cancel(): void;
}

/** Sends one message and receives one. The response rejects with an RpcError, or a CriError for a bad message. */
export function startUnary(session: ClientHttp2Session, headers: OutgoingHttpHeaders, message: Uint8Array): UnaryCall {
  const stream = request(session, headers);
  const ending = watchEnd(stream);
  const collected = collectMessage();
  let settle = (_failure?: Failure): void => undefined;
  const end = (failure: Failure): void => {
    settle(failure);
    stream.close(constants.NGHTTP2_CANCEL);
  };
  const response = new Promise<Buffer>((resolve, reject) => {
    let isSettled = false;
    settle = (ended) => {
      if (isSettled) return;
      isSettled = true;
      const failure = ended ?? ending.failure();
      if (failure) return reject(failure);
      try {
        resolve(collected.message());
      } catch (thrown) {
        reject(CriError.from(thrown));
      }
    };
    stream.on('data', (chunk: Buffer) => {
      if (isSettled) return;
      try {
        collected.add(chunk);
      } catch (thrown) {
        end(CriError.from(thrown));
      }
    });
    stream.on('end', () => {
      if (ending.hasStatus()) settle();
    });
    stream.on('close', () => settle());
  });
  stream.end(framed(message));
  return { response, cancel: () => end(new RpcError(Code.CANCELLED, 'cancelled')) };
}

type Failure = RpcError | CriError;

export interface StreamingCall {
  /** Yields each message of the server; fails as the response of a unary call. It can be iterated only once. */
  readonly messages: AsyncGenerator<Buffer, void, void>;
  /** Ends the messages with an error and tells the server. */
  cancel(): void;
}

/** Sends messages and receives messages at the same time. */
export function startStreaming(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  outgoing: Uint8Array | AsyncIterable<Uint8Array>,
): StreamingCall {
  const stream = request(session, headers);
  const incoming = receive(stream);
  const end = (failure: Failure): void => {
    incoming.fail(failure);
    stream.close(constants.NGHTTP2_CANCEL);
  };
  send(stream, outgoing).catch((thrown: unknown) => end(CriError.from(thrown)));
  return { messages: incoming.messages(), cancel: () => end(new RpcError(Code.CANCELLED, 'cancelled')) };
}

/** Reads a stream only as fast as its messages are consumed. */
function receive(stream: ClientHttp2Stream) {
  const ending = watchEnd(stream);
  const reader = createMessageReader();
  let failure: Failure | undefined;
  let isClosed = false;
  let wake = (): void => undefined;
  const onChange = (): void => wake();
  stream.on('readable', onChange).on('end', onChange);
  stream.once('close', () => {
    isClosed = true;
    wake();
  });
  return {
    fail(reason: Failure): void {
      failure ??= reason;
      wake();
    },
    async *messages(): AsyncGenerator<Buffer, void, void> {
      try {
        while (!failure) {
          const chunk = stream.read() as Buffer | null;
          if (chunk) yield* reader.add(chunk);
          else if (isClosed || (stream.readableEnded && ending.hasStatus())) break;
          // A race with a promise of the whole call would keep each chunk until the call ends.
          else await new Promise<void>((resolve) => (wake = resolve));
        }
        const reason = failure ?? ending.failure();
        if (reason) throw reason;
        if (reader.hasRest()) throw new CriError('INTERNAL', 'received a part of a message');
      } finally {
        stream.close(constants.NGHTTP2_CANCEL);
      }
    },
  };
}

async function send(stream: ClientHttp2Stream, outgoing: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
  if (outgoing instanceof Uint8Array) return void stream.end(framed(outgoing));
  for await (const message of outgoing) {
    if (stream.closed || stream.destroyed) return;
    // The messages are few and small, so that they need not wait for room.
    stream.write(framed(message));
  }
  stream.end();
}

/** Begins an HTTP/2 stream; a session that has ended meanwhile has not sent anything. */
function request(session: ClientHttp2Session, headers: OutgoingHttpHeaders): ClientHttp2Stream {
  try {
    const stream = session.request(headers);
    keepProcess(session, 1);
    stream.once('close', () => keepProcess(session, -1));
    // The calls that run go on, and new ones need a new connection: this one has used its 2^30 numbers.
    stream.once('error', (thrown: Error) => isOutOfStreams(thrown) && session.close());
    return stream;
  } catch (thrown) {
    throw new RpcError(Code.UNAVAILABLE, `no connection: ${(thrown as Error).message}`, true);
  }
}

const callsOf = new WeakMap<ClientHttp2Session, number>();

/** The process may end while a connection without calls is open. */
function keepProcess(session: ClientHttp2Session, change: 1 | -1): void {
  const calls = (callsOf.get(session) ?? 0) + change;
  callsOf.set(session, calls);
  if (change === 1 && calls === 1) session.ref();
  if (calls === 0) session.unref();
}

interface Ending {
  hasStatus(): boolean;
  /** Returns why the call did not succeed, once the stream has ended. */
  failure(): RpcError | undefined;
}

function watchEnd(stream: ClientHttp2Stream): Ending {
  let status: IncomingHttpHeaders | undefined;
  let error: Error | undefined;
  stream.on('response', (headers, flags) => {
    // A response that consists of the status alone.
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) status = headers;
  });
  stream.on('trailers', (headers: IncomingHttpHeaders) => void (status = headers));
  stream.on('error', (thrown: Error) => void (error = thrown));
  return {
    hasStatus: () => status !== undefined,
    failure: () => (status === undefined ? cutOff(stream, error) : statusError(status)),
  };
}

function statusError(headers: IncomingHttpHeaders): RpcError | undefined {
  const status = headers['grpc-status'];
  if (status === OK) return undefined;
  if (status === undefined)
    return new RpcError(Code.UNKNOWN, `no gRPC status, HTTP status ${String(headers[':status'])}`);
  return new RpcError(Number(status), decodeStatusText(String(headers['grpc-message'] ?? '')));
}

/** The stream has ended without a status: the connection was lost, or the server has reset the stream. */
function cutOff({ rstCode }: ClientHttp2Stream, error: Error | undefined): RpcError {
  // channel.ts has the setting that this limit comes from.
  const hint = rstCode === constants.NGHTTP2_INTERNAL_ERROR ? ', perhaps for an error text longer than 64 KiB' : '';
  const why = error ? `: ${error.message}` : '';
  const neverSent = rstCode === constants.NGHTTP2_REFUSED_STREAM || isOutOfStreams(error);
  return new RpcError(Code.UNAVAILABLE, `the call was cut off (HTTP/2 code ${rstCode}${hint})${why}`, neverSent);
}

const isOutOfStreams = (error: Error | undefined): boolean =>
  (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_HTTP2_OUT_OF_STREAMS';
