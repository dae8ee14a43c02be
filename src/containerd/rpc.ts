import {
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { Code } from '../base/errors.js';
import {
  collectMessage,
  decodeStatusText,
  framed,
  framedLength,
  MAX_GRPC_BYTES,
  PREFIX_BYTES,
} from '../base/grpc-message.js';

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

/** Sends one message and receives one. The response rejects with an RpcError. */
export function startUnary(session: ClientHttp2Session, headers: OutgoingHttpHeaders, message: Uint8Array): UnaryCall {
  const stream = request(session, headers);
  const ending = watchEnd(stream);
  const collected = collectMessage();
  let isSettled = false;
  let settle = (_failure?: RpcError): void => undefined;
  const end = (failure: RpcError): void => {
    settle(failure);
    stream.close(constants.NGHTTP2_CANCEL);
  };
  const response = new Promise<Buffer>((resolve, reject) => {
    settle = (ended) => {
      if (isSettled) return;
      isSettled = true;
      const failure = ended ?? ending.failure();
      const message = failure ? undefined : collected.message();
      if (message) resolve(message);
      else reject(failure ?? new RpcError(Code.INTERNAL, 'the response has no message'));
    };
    stream.on('data', (chunk: Buffer) => {
      if (!collected.add(chunk)) end(tooLarge());
    });
    stream.on('end', () => {
      if (ending.hasStatus()) settle();
    });
    stream.on('close', () => settle());
  });
  stream.end(framed(message));
  return { response, cancel: () => end(new RpcError(Code.CANCELLED, 'cancelled')) };
}

export interface StreamingCall {
  /** Yields each message of the server; throws an RpcError. It can be iterated only once. */
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
  const ending = watchEnd(stream);
  let cancelNow = (_failure: RpcError): void => undefined;
  const cancelled = new Promise<never>((_, reject) => (cancelNow = reject));
  cancelled.catch(() => undefined);
  const cancel = (): void => {
    cancelNow(new RpcError(Code.CANCELLED, 'cancelled'));
    stream.close(constants.NGHTTP2_CANCEL);
  };
  send(stream, outgoing).catch(() => cancel());
  return { messages: received(stream, ending, cancelled), cancel };
}

type Step = IteratorResult<Buffer, undefined>;

async function* received(
  stream: ClientHttp2Stream,
  ending: Ending,
  cancelled: Promise<never>,
): AsyncGenerator<Buffer, void, void> {
  const chunks = stream.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]() as AsyncIterator<
    Buffer,
    undefined
  >;
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (;;) {
      // The stream fails when its connection is lost; the end tells why.
      const next = chunks.next().catch((): Step => ({ done: true, value: undefined }));
      const step: Step = await Promise.race([next, cancelled]);
      if (step.done) break;
      rest = rest.length === 0 ? step.value : Buffer.concat([rest, step.value]);
      for (let length = lengthOf(rest); length !== undefined; length = lengthOf(rest)) {
        yield rest.subarray(PREFIX_BYTES, length);
        rest = rest.subarray(length);
      }
    }
    if (!ending.hasStatus()) await Promise.race([ending.closed, cancelled]);
    const failure = ending.failure();
    if (failure) throw failure;
  } finally {
    stream.close(constants.NGHTTP2_CANCEL);
  }
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
  readonly closed: Promise<void>;
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
    closed: new Promise((resolve) => stream.once('close', () => resolve())),
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
  const why = error ? `: ${error.message}` : '';
  const neverSent = rstCode === constants.NGHTTP2_REFUSED_STREAM;
  return new RpcError(Code.UNAVAILABLE, `the call was cut off (HTTP/2 code ${rstCode})${why}`, neverSent);
}

/** Returns the length of the first message with its prefix; undefined while it is incomplete. */
function lengthOf(bytes: Buffer): number | undefined {
  const length = framedLength(bytes);
  if (length !== undefined && length > MAX_GRPC_BYTES + PREFIX_BYTES) throw tooLarge();
  return length === undefined || bytes.length < length ? undefined : length;
}

const tooLarge = (): RpcError =>
  new RpcError(Code.RESOURCE_EXHAUSTED, `received message larger than max (${MAX_GRPC_BYTES} bytes)`);
