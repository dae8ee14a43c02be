import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createFrameReader, OPCODE } from '../../../src/streaming/websocket-frames.js';
import { webSocketFrame } from './wire.js';

/** A client that speaks channels, or anything else, over a WebSocket. */
export interface WebSocketClient {
  readonly socket: Socket;
  readonly protocol: string;
  send(channel: number, bytes: Uint8Array | string): void;
  /** Version 5: ends a channel. */
  end(channel: number): void;
  /** What has come on a channel so far. */
  received(channel: number): Buffer;
  /** Resolves when so much has come on a channel. */
  until(channel: number, predicate: (bytes: Buffer) => boolean): Promise<void>;
  /** Resolves with the close code; 1006 when the connection broke off. */
  readonly closed: Promise<number>;
}

/** The status line and headers that answer an upgrade, with what came after them. */
export async function upgrade(url: string, headers: readonly string[], method = 'GET') {
  const { hostname, port, pathname, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const options = { host, port: Number(port), allowHalfOpen: true };
  const socket: Socket =
    protocol === 'https:' ? connectTls({ ...options, rejectUnauthorized: false }) : connect(options);
  socket.on('error', () => socket.destroy());
  await once(socket, protocol === 'https:' ? 'secureConnect' : 'connect');
  socket.write([`${method} ${pathname} HTTP/1.1`, `Host: ${host}`, 'Connection: Upgrade', ...headers].join('\r\n'));
  socket.write('\r\n\r\n');
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end >= 0) return { socket, head: bytes.toString('latin1', 0, end), rest: bytes.subarray(end + 4) };
    const chunk = socket.read() as Buffer | null;
    if (chunk) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded || socket.destroyed) return { socket, head: bytes.toString('latin1'), rest: bytes };
    else await Promise.race([once(socket, 'readable'), once(socket, 'close'), once(socket, 'end')]);
  }
}

export async function openWebSocket(url: string, protocols: readonly string[]): Promise<WebSocketClient> {
  const { socket, head, rest } = await upgrade(url, [
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...(protocols.length > 0 ? [`Sec-WebSocket-Protocol: ${protocols.join(', ')}`] : []),
  ]);
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(head);
  const protocol = /^sec-websocket-protocol: (.*)$/im.exec(head)?.[1] ?? '';
  const base64 = protocol.includes('base64');
  return speak(socket, rest, protocol, base64);
}

function speak(socket: Socket, rest: Buffer, protocol: string, base64: boolean): WebSocketClient {
  const channels = new Map<number, Buffer[]>();
  const watchers = new Set<() => void>();
  let onClosed: (code: number) => void;
  const closed = new Promise<number>((resolve) => (onClosed = resolve));
  const message: Buffer[] = [];

  const read = createFrameReader({
    onPart({ bytes, last }) {
      message.push(Buffer.from(bytes));
      if (!last) return;
      const whole = Buffer.concat(message.splice(0));
      const channel = base64 ? Number(whole.toString('latin1', 0, 1)) : whole.readUInt8(0);
      const payload = base64 ? Buffer.from(whole.toString('latin1', 1), 'base64') : whole.subarray(1);
      channels.set(channel, [...(channels.get(channel) ?? []), payload]);
      for (const watcher of watchers) watcher();
    },
    onPing: (payload) => void socket.write(webSocketFrame(OPCODE.pong, payload)),
    onPong: () => undefined,
    onClose(code) {
      onClosed(code);
      socket.end();
    },
  });
  // The reader is a server's: what a server sends has no mask, so it gets one of zeros here.
  const masked = maskFrames(read);
  masked(rest);
  socket.on('data', masked);
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    onClosed(1006);
    for (const watcher of watchers) watcher();
  });
  socket.resume();

  const received = (channel: number): Buffer => Buffer.concat(channels.get(channel) ?? []);
  return {
    socket,
    protocol,
    closed,
    received,
    send(channel, bytes) {
      const payload = Buffer.from(bytes as string);
      socket.write(
        base64
          ? webSocketFrame(OPCODE.text, `${channel}${payload.toString('base64')}`)
          : webSocketFrame(OPCODE.binary, Buffer.concat([Buffer.from([channel]), payload])),
      );
    },
    end: (channel) => void socket.write(webSocketFrame(OPCODE.binary, Buffer.from([255, channel]))),
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

/** Adds a mask of zeros to each frame of a server. */
function maskFrames(read: (bytes: Buffer) => void): (bytes: Buffer) => void {
  let pending = Buffer.alloc(0);
  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    for (;;) {
      if (pending.length < 2) return;
      const short = pending.readUInt8(1);
      const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
      if (pending.length < 2 + lengthBytes) return;
      const length =
        lengthBytes === 0 ? short : lengthBytes === 2 ? pending.readUInt16BE(2) : Number(pending.readBigUInt64BE(2));
      const end = 2 + lengthBytes + length;
      if (pending.length < end) return;
      const head = Buffer.from(pending.subarray(0, 2 + lengthBytes));
      head.writeUInt8(short | 0x80, 1);
      const frame = Buffer.concat([head, Buffer.alloc(4), pending.subarray(2 + lengthBytes, end)]);
      pending = pending.subarray(end);
      read(frame);
    }
  };
}
