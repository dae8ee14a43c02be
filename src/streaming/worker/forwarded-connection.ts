import type { Socket } from 'node:net';
import { connectLoopback } from '../../host/namespace/netns-socket.js';
import { createBoundedWriter } from './bounded-writer.js';
import type { ClientConnection } from './client-connection.js';

/** A TCP connection into a pod. */
export interface ForwardedConnection {
  /** Writes bytes that came from the client. */
  write(bytes: Buffer): void;
  /** The client sends nothing more. The pod may still send. */
  end(): void;
  /** Connects. Bytes flow from then on. */
  open(netnsPath: string): void;
  destroy(): void;
}

export interface ForwardedConnectionOptions {
  readonly port: number;
  readonly link: ClientConnection;
  readonly limitBytes: () => number;
  /** Sends bytes to the client. Returns false when the client is slow. */
  readonly send: (bytes: Buffer) => boolean;
  /** Called once, when the pod sends nothing more. */
  readonly onEnd: () => void;
  /** The connection could not be made. Only `onClosed` follows. */
  readonly onRefused: (message: string) => void;
  /** Called once, when both directions have ended. */
  readonly onClosed: () => void;
}

export function createForwardedConnection(options: ForwardedConnectionOptions): ForwardedConnection {
  const { port, link, limitBytes } = options;
  const writer = createBoundedWriter({ link, limitBytes, onFlushed: (target) => target?.end() });
  let socket: Socket | undefined;
  let connected = false;
  let closed = false;
  let podEnded = false;

  const podEnds = (): void => {
    if (podEnded) return;
    podEnded = true;
    options.onEnd();
  };

  const close = (): void => {
    if (closed) return;
    closed = true;
    writer.discard();
    socket?.destroy();
    podEnds();
    options.onClosed();
  };

  const flow = (open: Socket): void => {
    connected = true;
    open.setTimeout(0);
    open.setNoDelay(true);
    open.on('data', (bytes: Buffer) => {
      if (options.send(bytes)) return;
      open.pause();
      link.whenDrained(() => open.resume());
    });
    open.on('end', podEnds);
    writer.open(open);
    open.resume();
  };

  const connect = (netnsPath: string, families: readonly (4 | 6)[], firstError?: string): void => {
    const [family, ...others] = families;
    if (family === undefined) return refuse(firstError ?? 'no address');
    let attempt: Socket;
    try {
      attempt = connectLoopback(netnsPath, family, port);
    } catch (thrown) {
      return connect(netnsPath, others, firstError ?? (thrown as Error).message);
    }
    socket = attempt;
    let error = `no answer within ${CONNECT_MS / 1000} s`;
    attempt.setTimeout(CONNECT_MS, () => attempt.destroy());
    attempt.once('connect', () => flow(attempt));
    attempt.on('error', (thrown) => (error = thrown.message));
    // Do not destroy the socket on `finish`: after the client's half-close the pod may still send.
    attempt.once('close', () => {
      if (connected || closed) close();
      else connect(netnsPath, others, firstError ?? error);
    });
  };

  const refuse = (message: string): void => {
    options.onRefused(`cannot connect to port ${port} in the pod: ${message}`);
    close();
  };

  return {
    write: writer.write,
    end: writer.end,
    open: (netnsPath) => connect(netnsPath, [4, 6]),
    destroy: close,
  };
}

const CONNECT_MS = 30_000;
