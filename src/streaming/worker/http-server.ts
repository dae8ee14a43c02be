import { createServer, STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Route, StreamWorkerData } from '../shared/session-messages.js';
import { negotiate, type Refusal, type Upgrade } from './upgrade.js';

/** A request that becomes a session if its token is valid. Its socket closes when the client closes its side. */
export interface Candidate {
  readonly route: Route;
  readonly token: string;
  readonly socket: Socket;
  readonly upgrade: Upgrade;
}

/** An HTTP server that only upgrades connections. Requests are bounded in size, time and number. */
export function createHttpServer(
  data: Pick<StreamWorkerData, 'tls'>,
  onCandidate: (candidate: Candidate) => void,
  headersWithinMs = HEADERS_WITHIN_MS,
): Server {
  const limits = { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 1_000, connectionsCheckingInterval: 1_000 };
  const server = data.tls
    ? createTlsServer({ ...limits, ...data.tls, handshakeTimeout: headersWithinMs })
    : createServer(limits);
  server.headersTimeout = headersWithinMs;
  server.requestTimeout = headersWithinMs;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('request', (_request, response) => {
    response.writeHead(400, { 'Content-Type': 'text/plain', Connection: 'close' });
    response.end('upgrade to websocket or SPDY/3.1 expected\n');
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    // A client that closes its side has disconnected, also before it got a response: none of the protocols uses half-
    // closed connections here.
    socket.on('end', () => socket.destroy());
    const target = /^\/(exec|attach|portforward)\/([\w-]{43})$/.exec(request.url ?? '');
    if (!target) return refuse(socket, { status: 404, message: 'no such stream' });
    const route = target[1] as Route;
    const agreed = negotiate(request, route);
    if ('status' in agreed) return refuse(socket, agreed);
    if (head.length > 0) socket.unshift(head);
    onCandidate({ route, token: target[2] ?? '', socket, upgrade: agreed });
  });
  return server;
}

export function refuse(socket: Socket, { status, message, headers = [] }: Refusal): void {
  const body = `${message}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  // A fixed time limit. An idle timeout would be extended by each byte that a refused client sends.
  const late = setTimeout(() => socket.destroy(), REFUSED_MS);
  socket.once('close', () => clearTimeout(late));
  socket.resume();
}

export function accept(socket: Socket, { headers }: Upgrade): void {
  socket.write(`${['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', ...headers].join('\r\n')}\r\n\r\n`);
}

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_WITHIN_MS = 10_000;
const MAX_CONNECTIONS = 4096;
const REFUSED_MS = 1_000;
