import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { CriError } from '../base/errors.js';
import { collectMessage } from '../base/grpc-message.js';
import { createAnswer, type Answer } from './answer.js';

/**
 * A gRPC server over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), as far as the CRI needs
 * it: each method receives one message, without compression.
 */
export interface RpcServer {
  listen(path: string): Promise<void>;
  /** Takes no new calls; resolves when the running ones have ended. */
  close(): Promise<void>;
  /** Ends all connections at once. */
  destroy(): void;
}

/** Serves a call of one method whose message has arrived. */
export type Serve = (message: Buffer, headers: IncomingHttpHeaders, answer: Answer) => void;

const PING_EVERY_MS = 20_000;
/**
 * A client that misses a ping may be slow, or crid was paused, so wait 10 min. A write to a dead client fails at once
 * anyway.
 */
const CLIENT_ANSWERS_WITHIN_MS = 10 * 60_000;

/** `methods`: by path, such as `/runtime.v1.RuntimeService/Version`. */
export function createRpcServer(methods: ReadonlyMap<string, Serve>): RpcServer {
  // Node otherwise fails calls when the messages of one client need more than 10 MB together.
  const server = createServer({ maxSessionMemory: Number.MAX_SAFE_INTEGER });
  const sessions = new Set<ServerHttp2Session>();
  server.on('stream', (stream, headers) => receive(stream, headers, methods));
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  // A client that speaks no HTTP/2, or has gone: its connection has ended.
  server.on('sessionError', () => undefined);
  const pinging = pingAll(sessions);
  return {
    listen: (path) => listen(server, path),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Sends GOAWAY, and ends the connection after its last call.
      for (const session of sessions) session.close();
      await closed;
      clearInterval(pinging);
    },
    destroy() {
      clearInterval(pinging);
      for (const session of sessions) session.destroy(undefined, constants.NGHTTP2_CANCEL);
    },
  };
}

const listen = (server: Http2Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });

/** Ends the connections of clients that are gone: Node does not always notice that a killed client is gone. */
function pingAll(sessions: ReadonlySet<ServerHttp2Session>): NodeJS.Timeout {
  const pinged = new WeakMap<ServerHttp2Session, number>();
  const pingOne = (session: ServerHttp2Session): void => {
    const sinceMs = pinged.get(session);
    if (sinceMs !== undefined) {
      if (performance.now() - sinceMs > CLIENT_ANSWERS_WITHIN_MS) session.destroy();
      return;
    }
    if (session.closed || session.destroyed) return;
    pinged.set(session, performance.now());
    session.ping(() => pinged.delete(session));
  };
  return setInterval(() => sessions.forEach(pingOne), PING_EVERY_MS).unref();
}

const { HTTP2_HEADER_PATH, HTTP2_HEADER_METHOD, HTTP2_HEADER_CONTENT_TYPE, HTTP2_HEADER_STATUS } = constants;
const HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE = 415;

function receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, methods: ReadonlyMap<string, Serve>): void {
  // The stream's end tells the same, with or without an error before it.
  stream.on('error', () => undefined);
  if (stream.closed || stream.destroyed) return;
  const path = headers[HTTP2_HEADER_PATH] ?? '';
  const isGrpc = String(headers[HTTP2_HEADER_CONTENT_TYPE]).startsWith('application/grpc');
  if (headers[HTTP2_HEADER_METHOD] !== 'POST' || !isGrpc) {
    stream.respond({ [HTTP2_HEADER_STATUS]: HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE }, { endStream: true });
    return;
  }
  const answer = createAnswer(stream);
  const serve = methods.get(String(path));
  if (!serve) return answer.fail(new CriError('UNIMPLEMENTED', `the server has no method ${String(path)}`));
  const collected = collectMessage(headers['grpc-encoding']?.toString());
  const orFail = (work: () => void): void => {
    // Data that arrives after the status is dropped.
    if (answer.isOver()) return;
    try {
      work();
    } catch (thrown) {
      answer.fail(CriError.from(thrown));
    }
  };
  stream.on('data', (chunk: Buffer) => orFail(() => collected.add(chunk)));
  stream.on('end', () => orFail(() => serve(collected.message(), headers, answer)));
}
