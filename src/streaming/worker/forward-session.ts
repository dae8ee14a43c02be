import type { FromWorker } from '../shared/session-messages.js';
import type { ClientConnection } from './client-connection.js';
import { createForwardedConnection, type ForwardedConnection } from './forwarded-connection.js';
import type { Session } from './session.js';

/** A connection that opens once it was started and its network namespace is known, in either order. */
export interface Forwarded extends Omit<ForwardedConnection, 'open'> {
  start(): void;
}

/** The connections of one port-forward client. */
export interface Forwards {
  add(options: {
    readonly port: number;
    readonly send: (bytes: Buffer) => boolean;
    readonly onEnd: () => void;
    readonly onRefused: (message: string) => void;
    readonly onClosed: () => void;
  }): Forwarded;
}

export interface ForwardTransport {
  receive(bytes: Buffer): void;
  probe(): void;
  /** Ends the client's connection. */
  finish(): void;
}

export function createForwardSession(options: {
  readonly session: number;
  readonly link: ClientConnection;
  readonly transport: (forwards: Forwards) => ForwardTransport;
  readonly tell: (message: FromWorker) => void;
}): Session {
  const { session, link } = options;
  const connections = new Set<ForwardedConnection>();
  const waiting = new Set<ForwardedConnection>();
  let netnsPath: string | undefined;

  // All connections of a client share one memory limit.
  const limitBytes = (): number => Math.min(ONE_MAX_BYTES, ALL_MAX_BYTES / Math.max(1, connections.size));

  const transport = options.transport({
    add(request) {
      const connection = createForwardedConnection({
        ...request,
        link,
        limitBytes,
        onClosed() {
          connections.delete(connection);
          waiting.delete(connection);
          request.onClosed();
        },
      });
      connections.add(connection);
      const start = (): void => {
        if (netnsPath === undefined) waiting.add(connection);
        else if (connections.has(connection)) connection.open(netnsPath);
      };
      return { write: connection.write, end: connection.end, destroy: connection.destroy, start };
    },
  });

  const release = (): void => {
    for (const connection of [...connections]) connection.destroy();
  };

  setImmediate(() => options.tell({ kind: 'ready', session }));

  return {
    receive: transport.receive,
    probe: transport.probe,
    obey(message) {
      if (message.kind === 'forward') {
        netnsPath = message.netnsPath;
        for (const connection of [...waiting]) connection.open(netnsPath);
        waiting.clear();
      } else if (message.kind === 'finish') {
        release();
        transport.finish();
      }
    },
    release,
  };
}

const ONE_MAX_BYTES = 1024 * 1024;
const ALL_MAX_BYTES = 32 * 1024 * 1024;
