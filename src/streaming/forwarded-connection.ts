import type { Socket } from 'node:net';
import { connectLoopback } from '../host/netns-socket.js';
import type { Link } from './link.js';
import { createSink } from './sink.js';

/** One TCP connection into a pod. */
export interface ForwardedConnection {
  /** From the client. */
  write(bytes: Buffer): void;
  /** The client sends no more; the pod may still. */
  end(): void;
  /** Connects: from here on bytes flow. */
  open(netnsPath: string): void;
  destroy(): void;
}

export interface ForwardedConnectionOptions {
  readonly port: number;
  readonly link: Link;
  readonly limitBytes: () => number;
  /** To the client; false: it is slow. */
  readonly send: (bytes: Buffer) => boolean;
  /** The pod sends no more. Once. */
  readonly onEnd: () => void;
  /** It could not be made; nothing else follows but `onClosed`. */
  readonly onRefused: (message: string) => void;
  /** Both directions are done. Once. */
  readonly onClosed: () => void;
}

export function createForwardedConnection(options: ForwardedConnectionOptions): ForwardedConnection {
  const { port, link, limitBytes } = options;
  const sink = createSink({ link, limitBytes, onFlushed: (target) => target?.end() });
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
    sink.discard();
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
    sink.open(open);
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
    // After a half-close of the client's, the last bytes of the pod are still to come: no `destroy` on `finish`.
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
    write: sink.write,
    end: sink.end,
    open: (netnsPath) => connect(netnsPath, [4, 6]),
    destroy: close,
  };
}

const CONNECT_MS = 30_000;
