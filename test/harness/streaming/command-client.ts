import { once } from 'node:events';
import type { Socket } from 'node:net';
import { openSpdy, type ClientStream } from './spdy-client.js';
import { openWebSocket } from './websocket-client.js';

export type Transport = 'spdy' | 'websocket';
export const TRANSPORTS: readonly Transport[] = ['spdy', 'websocket'];

/** An exec or an attach, the same over both transports. */
export interface CommandClient {
  readonly socket: Socket;
  /** Resolves when the connection can take more, or is closed. */
  write(bytes: Uint8Array | string): Promise<void>;
  endInput(): void;
  resize(width: number, height: number): void;
  /** Resolves when the connection is closed, with the outcome that the server sent; "" when it sent none. */
  readonly outcome: Promise<string>;
}

export interface CommandOptions {
  readonly transport: Transport;
  readonly stdin?: boolean;
  readonly tty?: boolean;
  /** If undefined, output is discarded. */
  readonly onOutput?: (stream: 'stdout' | 'stderr', bytes: Buffer) => void;
}

export const openCommandClient = (url: string, options: CommandOptions): Promise<CommandClient> =>
  options.transport === 'spdy' ? overSpdy(url, options) : overWebSocket(url, options);

async function overSpdy(
  url: string,
  { stdin = false, tty = false, onOutput = ignore }: CommandOptions,
): Promise<CommandClient> {
  const client = await openSpdy(url, 'v4.channel.k8s.io');
  const said: Buffer[] = [];
  await client.open({ streamType: 'error' }, (bytes) => void said.push(Buffer.from(bytes)));
  const input = stdin ? await client.open({ streamType: 'stdin' }) : undefined;
  await client.open({ streamType: 'stdout' }, (bytes) => onOutput('stdout', bytes));
  if (!tty) await client.open({ streamType: 'stderr' }, (bytes) => onOutput('stderr', bytes));
  const size: ClientStream | undefined = tty ? await client.open({ streamType: 'resize' }) : undefined;
  return {
    socket: client.socket,
    write: (bytes) => room(client.socket, input?.write(bytes) ?? true),
    endInput: () => input?.end(),
    resize: (width, height) => void size?.write(sizeText(width, height)),
    outcome: closed(client.socket).then(() => Buffer.concat(said).toString()),
  };
}

async function overWebSocket(url: string, { onOutput = ignore }: CommandOptions): Promise<CommandClient> {
  const said: Buffer[] = [];
  const client = await openWebSocket(url, ['v5.channel.k8s.io'], (channel, bytes) => {
    if (channel === CHANNEL.error) said.push(Buffer.from(bytes));
    else if (bytes.length > 0) onOutput(channel === CHANNEL.stdout ? 'stdout' : 'stderr', bytes);
  });
  return {
    socket: client.socket,
    write: (bytes) => room(client.socket, client.send(CHANNEL.stdin, bytes)),
    endInput: () => client.end(CHANNEL.stdin),
    resize: (width, height) => void client.send(CHANNEL.resize, sizeText(width, height)),
    outcome: closed(client.socket).then(() => Buffer.concat(said).toString()),
  };
}

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
const ignore = (): void => undefined;
const sizeText = (width: number, height: number): string => JSON.stringify({ Width: width, Height: height });

/** Resolves when a connection is closed, with or without an error. */
export const closed = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

/** Waits until the socket can take more, if `hasRoom` (the result of a write) is false. */
export async function room(socket: Socket, hasRoom: boolean): Promise<void> {
  if (hasRoom || socket.destroyed) return;
  const over = new AbortController();
  const ends = ['drain', 'close'].map((event) => once(socket, event, { signal: over.signal }).catch(ignore));
  await Promise.race(ends);
  over.abort();
}
