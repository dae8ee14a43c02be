import type { Socket } from 'node:net';
import { openMessages } from './websocket-messages.js';

/** A client that uses the channels of a WebSocket. */
export interface WebSocketClient {
  readonly socket: Socket;
  readonly protocol: string;
  /** Returns false when the server is slow. */
  send(channel: number, bytes: Uint8Array | string): boolean;
  /** Version 5: ends a channel. */
  end(channel: number): void;
  /** Returns the bytes that have arrived on a channel so far. */
  received(channel: number): Buffer;
  /** Resolves when the bytes that have arrived on a channel satisfy the predicate. */
  until(channel: number, predicate: (bytes: Buffer) => boolean): Promise<void>;
  /** Resolves with the close code; 1006 when the connection broke. */
  readonly closed: Promise<number>;
}

/** If `onData` is given, it receives the data, which is not kept. */
export async function openWebSocket(
  url: string,
  protocols: readonly string[],
  onData?: (channel: number, bytes: Buffer) => void,
): Promise<WebSocketClient> {
  const channels = new Map<number, Buffer[]>();
  const watchers = new Set<() => void>();
  const wake = (): void => {
    for (const watcher of watchers) watcher();
  };
  const keep = (channel: number, bytes: Buffer): void => {
    const kept = channels.get(channel) ?? [];
    kept.push(Buffer.from(bytes));
    channels.set(channel, kept);
    wake();
  };
  const take = onData ?? keep;

  // Messages of the server can arrive before this function knows the protocol.
  const early: Buffer[] = [];
  let onMessage = (payload: Buffer): void => void early.push(payload);
  const messages = await openMessages(url, protocols, (payload) => onMessage(payload));
  const { socket, protocol, closed } = messages;
  const base64 = protocol.includes('base64');
  onMessage = (payload) =>
    base64
      ? take(Number(payload.toString('latin1', 0, 1)), Buffer.from(payload.toString('latin1', 1), 'base64'))
      : take(payload.readUInt8(0), payload.subarray(1));
  early.forEach(onMessage);
  socket.on('close', wake);

  const received = (channel: number): Buffer => Buffer.concat(channels.get(channel) ?? []);
  return {
    socket,
    protocol,
    closed,
    received,
    send(channel, bytes) {
      const payload = Buffer.from(bytes as string);
      return base64
        ? messages.send('text', `${channel}${payload.toString('base64')}`)
        : messages.send('binary', Buffer.concat([Buffer.from([channel]), payload]));
    },
    end: (channel) => void messages.send('binary', Buffer.from([255, channel])),
    until: (channel, predicate) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const bytes = received(channel);
          if (!predicate(bytes) && !socket.destroyed) return;
          watchers.delete(check);
          if (predicate(bytes)) resolve();
          else reject(new Error(`closed, channel ${channel} has ${JSON.stringify(bytes.toString())}`));
        };
        watchers.add(check);
        check();
      }),
  };
}
