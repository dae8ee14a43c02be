import type { Socket } from 'node:net';
import {
  CONTROL,
  controlFrame,
  createSpdyFrameReader,
  dataHeader,
} from '../../../src/streaming/worker/spdy/spdy-frames.js';
import { headerDeflater, synStream } from './wire.js';
import { openMessages } from './websocket-messages.js';
import { upgrade } from './upgrade.js';

/** A stream of a SPDY client. */
export interface ClientStream {
  /** Returns false when the server is slow. */
  write(bytes: Uint8Array | string): boolean;
  end(): void;
  reset(): void;
  /**
   * Resolves with all data that `onData` did not take, once the server has ended the stream or the connection is
   * closed.
   */
  readonly all: Promise<Buffer>;
}

export interface SpdyClient {
  readonly socket: Socket;
  /** If `onData` is given, it receives the data, which is not kept. */
  open(headers: Record<string, string>, onData?: (bytes: Buffer) => void): Promise<ClientStream>;
}

export async function openSpdy(url: string, protocol: string): Promise<SpdyClient> {
  const headers = ['Upgrade: SPDY/3.1', `X-Stream-Protocol-Version: ${protocol}`];
  const { socket, head, rest } = await upgrade(url, headers, 'POST');
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(head);
  socket.on('end', () => socket.destroy());
  const { client, receive } = speak(socket, (bytes) => socket.write(bytes));
  receive(rest);
  socket.on('data', receive);
  return client;
}

/** Opens a port-forward in the way of new clients: SPDY in the binary messages of a WebSocket. */
export async function openTunnel(url: string, protocol = 'SPDY/3.1+portforward.k8s.io'): Promise<SpdyClient> {
  // The server sends nothing before the client does.
  let receive: (bytes: Buffer) => void = () => undefined;
  const messages = await openMessages(url, [protocol], (payload) => receive(payload));
  const spoken = speak(messages.socket, (bytes) => messages.send('binary', bytes));
  receive = spoken.receive;
  return spoken.client;
}

const CANCEL = 5;

/** Go's reader treats a name with a capital letter as an error. */
const lowerCase = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function speak(
  socket: Socket,
  send: (bytes: Buffer) => boolean,
): { client: SpdyClient; receive: (bytes: Buffer) => void } {
  const deflate = headerDeflater();
  const streams = new Map<number, { take: (bytes: Buffer) => void; end: () => void }>();
  let lastId = -1;

  const receive = createSpdyFrameReader({
    onData(id, bytes, last) {
      streams.get(id)?.take(bytes);
      if (last) streams.get(id)?.end();
    },
    onControl(type, _flags, payload) {
      if (type === CONTROL.rstStream) streams.get(payload.readUInt32BE(0))?.end();
      if (type === CONTROL.ping) send(controlFrame(CONTROL.ping, 0, payload));
    },
  });
  socket.on('close', () => {
    for (const stream of streams.values()) stream.end();
  });

  const client: SpdyClient = {
    socket,
    async open(headers, onData) {
      const id = (lastId += 2);
      const chunks: Buffer[] = [];
      const take = onData ?? ((bytes: Buffer) => void chunks.push(Buffer.from(bytes)));
      const all = new Promise<Buffer>((resolve) =>
        streams.set(id, { take, end: () => resolve(Buffer.concat(chunks)) }),
      );
      send(synStream(id, await deflate(lowerCase(headers))));
      return {
        all,
        write(bytes) {
          const payload = Buffer.from(bytes as string);
          return send(Buffer.concat([dataHeader(id, payload.length, false), payload]));
        },
        end: () => void send(dataHeader(id, 0, true)),
        reset: () => void send(controlFrame(CONTROL.rstStream, 0, id, CANCEL)),
      };
    },
  };
  return { client, receive };
}

export interface CommandStreams {
  readonly stdin: ClientStream | undefined;
  readonly stdout: ClientStream;
  readonly stderr: ClientStream;
  readonly error: ClientStream;
}

/** The streams of an exec or an attach without a terminal. */
export async function openCommand(
  url: string,
  stdin: boolean,
  protocol = 'v4.channel.k8s.io',
): Promise<CommandStreams & { client: SpdyClient }> {
  const client = await openSpdy(url, protocol);
  const open = (type: string): Promise<ClientStream> => client.open({ streamType: type });
  return {
    client,
    error: await open('error'),
    stdin: stdin ? await open('stdin') : undefined,
    stdout: await open('stdout'),
    stderr: await open('stderr'),
  };
}
