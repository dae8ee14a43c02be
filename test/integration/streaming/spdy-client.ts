import type { Socket } from 'node:net';
import {
  CONTROL,
  controlFrame,
  createSpdyFrameReader,
  dataHeader,
  FLAG_FIN,
} from '../../../src/streaming/spdy-frames.js';
import { headerDeflater, synStream } from '../../unit/streaming/wire.js';
import { upgrade } from '../../unit/streaming/websocket-client.js';

/** One stream of a SPDY client. */
export interface ClientStream {
  write(bytes: Uint8Array | string): void;
  end(): void;
  reset(): void;
  /** All that came, once the server has ended it or the connection is closed. */
  readonly all: Promise<Buffer>;
}

export interface SpdyClient {
  readonly socket: Socket;
  open(headers: Record<string, string>): Promise<ClientStream>;
}

const CANCEL = 5;

export async function openSpdy(url: string, protocol: string): Promise<SpdyClient> {
  const { socket, head, rest } = await upgrade(
    url,
    ['Upgrade: SPDY/3.1', `X-Stream-Protocol-Version: ${protocol}`],
    'POST',
  );
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(head);
  const deflate = headerDeflater();
  const streams = new Map<number, { chunks: Buffer[]; end: () => void }>();
  let lastId = -1;

  const read = createSpdyFrameReader({
    onData(id, bytes, last) {
      streams.get(id)?.chunks.push(Buffer.from(bytes));
      if (last) streams.get(id)?.end();
    },
    onControl(type, _flags, payload) {
      if (type === CONTROL.rstStream) streams.get(payload.readUInt32BE(0))?.end();
      if (type === CONTROL.ping) socket.write(controlFrame(CONTROL.ping, 0, payload));
    },
  });
  read(rest);
  socket.on('data', read);
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    for (const stream of streams.values()) stream.end();
  });

  return {
    socket,
    async open(headers) {
      const id = (lastId += 2);
      const chunks: Buffer[] = [];
      const all = new Promise<Buffer>((resolve) =>
        streams.set(id, { chunks, end: () => resolve(Buffer.concat(chunks)) }),
      );
      socket.write(synStream(id, await deflate(headers)));
      return {
        all,
        write(bytes) {
          const payload = Buffer.from(bytes as string);
          socket.write(Buffer.concat([dataHeader(id, payload.length, false), payload]));
        },
        end: () => void socket.write(dataHeader(id, 0, (FLAG_FIN & 1) === 1)),
        reset: () => void socket.write(controlFrame(CONTROL.rstStream, 0, id, CANCEL)),
      };
    },
  };
}

export interface CommandStreams {
  readonly stdin: ClientStream | undefined;
  readonly stdout: ClientStream;
  readonly stderr: ClientStream;
  readonly error: ClientStream;
}

/** The streams of an exec or an attach without a terminal. */
export async function openCommand(url: string, stdin: boolean): Promise<CommandStreams & { client: SpdyClient }> {
  const client = await openSpdy(url, 'v4.channel.k8s.io');
  const open = (type: string): Promise<ClientStream> => client.open({ streamType: type });
  return {
    client,
    error: await open('error'),
    stdin: stdin ? await open('stdin') : undefined,
    stdout: await open('stdout'),
    stderr: await open('stderr'),
  };
}
