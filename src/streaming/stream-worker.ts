/**
 * The streaming thread: the HTTP server and all bytes of exec, attach and port-forward, separate from the CRI server.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { AddressInfo, Socket } from 'node:net';
import { routeUnhandled } from '../base/last-resort.js';
import { makeWayForOtherThreads } from '../host/process/threads.js';
import type { FromWorker, StreamWorkerData, ToWorker } from './shared/session-messages.js';
import { createClientConnection } from './worker/client-connection.js';
import { accept, createHttpServer, refuse, type Candidate } from './worker/http-server.js';
import type { Session } from './worker/session.js';
import { createThrottle } from './worker/throttle.js';

makeWayForOtherThreads();
const data = workerData as StreamWorkerData;
const throttle = createThrottle(data.callsUnderWay);
const candidates = new Map<number, Candidate>();
const sessions = new Map<number, Session>();
/**
 * Every connection from before its TLS handshake until after its upgrade. Node's server tracks only those in between.
 */
const connections = new Set<Socket>();
let lastSession = 0;

const server = createHttpServer(data, (candidate) => {
  const session = (lastSession += 1);
  candidates.set(session, candidate);
  tell({ kind: 'redeem', session, route: candidate.route, token: candidate.token });
});

server.on('connection', (socket: Socket) => {
  connections.add(socket);
  socket.once('close', () => connections.delete(socket));
});

// An error here (a port in use) ends the thread either way. This listener adds the reason.
server.once('error', (error) => {
  throw error;
});
server.listen({ host: data.address, port: data.port }, () => {
  // Not earlier: an error before this must end the thread, so that the start of crid fails.
  routeUnhandled((thrown, origin) => {
    tell({ kind: 'unhandled', error: thrown instanceof Error ? thrown : new Error(String(thrown)), origin });
  });
  tell({ kind: 'listening', port: (server.address() as AddressInfo).port });
});

parentPort?.on('message', (message: ToWorker) => {
  if (message.kind === 'stop') return stop();
  if (message.kind === 'granted') return begin(message);
  if (message.kind === 'refused') return refuseCandidate(message.session);
  sessions.get(message.session)?.obey(message);
});

function refuseCandidate(session: number): void {
  const candidate = candidates.get(session);
  candidates.delete(session);
  if (candidate) refuse(candidate.socket, { status: 404, message: 'no such stream' });
}

function begin({ session, grant, idleTimeoutMs }: Extract<ToWorker, { kind: 'granted' }>): void {
  const candidate = candidates.get(session);
  candidates.delete(session);
  if (!candidate || candidate.socket.destroyed) {
    tell({ kind: 'gone', session, reason: 'the client left before it was served' });
    return;
  }
  const { socket, upgrade } = candidate;
  accept(socket, upgrade);
  const link = createClientConnection(
    socket,
    { idleTimeoutMs, throttle },
    {
      onBytes: (bytes) => sessions.get(session)?.receive(bytes),
      probe: () => sessions.get(session)?.probe(),
      onClosed(reason) {
        sessions.get(session)?.release();
        sessions.delete(session);
        tell({ kind: 'gone', session, reason });
      },
    },
  );
  sessions.set(session, upgrade.start({ session, link, grant, tell }));
}

function stop(): void {
  // A server that is about to listen cannot be closed yet.
  if (!server.listening) return void server.once('listening', stop);
  server.close();
  for (const socket of connections) socket.destroy();
  parentPort?.close();
}

function tell(message: FromWorker): void {
  parentPort?.postMessage(message);
}
