import type { Forwarded, ForwardTransport, Forwards } from '../forward-session.js';
import type { ClientConnection } from '../client-connection.js';
import type { MessagePart } from '../websocket/websocket-frames.js';
import { createWebSocket } from '../websocket/websocket.js';
import { SpdyError } from './spdy-frames.js';
import { createSpdyConnection, type SpdyConnection, type SpdyStream, type StreamListener } from './spdy.js';

/** Port-forward over SPDY/3.1. Each TCP connection uses two streams, one for data and one for an error message. */
export function createSpdyForward(link: ClientConnection, forwards: Forwards): ForwardTransport {
  const connection = createPairs(link.send, forwards);
  return {
    receive: connection.receive,
    probe: connection.ping,
    finish() {
      connection.goAway();
      link.end();
    },
  };
}

/** Port-forward over SPDY inside the binary messages of a WebSocket. */
export function createTunnelForward(link: ClientConnection, forwards: Forwards): ForwardTransport {
  const socket = createWebSocket(link, ({ bytes }: MessagePart) => connection.receive(bytes));
  const connection = createPairs((...parts) => socket.send(false, ...parts), forwards);
  return {
    receive: socket.receive,
    probe: socket.ping,
    finish() {
      connection.goAway();
      socket.close(1000, '');
    },
  };
}

/** The second stream of a pair must arrive within this time. */
const PAIR_WITHIN_MS = 30_000;
/** The longest `requestid` that is kept while its pair is incomplete. Kubernetes' clients send a counter. */
const MAX_REQUEST_ID = 256;

/** The methods of a stream, without the headers that it came with, which would stay in memory. */
type Half = Pick<SpdyStream, 'send' | 'finish'>;

interface Pair {
  data?: Half;
  error?: Half;
  /** Also receives what arrives on the data stream before the pair is complete. */
  readonly forwarded: Forwarded;
  readonly late: NodeJS.Timeout;
}

function createPairs(send: (...parts: readonly Uint8Array[]) => boolean, forwards: Forwards): SpdyConnection {
  const pairs = new Map<string, Pair>();

  const begin = (key: string, port: number): Pair => {
    const finish = (): void => {
      clearTimeout(pair.late);
      if (pairs.get(key) === pair) pairs.delete(key);
      pair.data?.finish();
      pair.error?.finish();
    };
    const forwarded = forwards.add({
      port,
      send: (bytes) => pair.data?.send(bytes) ?? true,
      onEnd: () => pair.data?.finish(),
      onRefused: (message) => void pair.error?.send(Buffer.from(message)),
      onClosed: finish,
    });
    const late = setTimeout(() => forwarded.destroy(), PAIR_WITHIN_MS);
    late.unref();
    const pair: Pair = { forwarded, late };
    pairs.set(key, pair);
    return pair;
  };

  return createSpdyConnection({
    send,
    onStream(stream): StreamListener | undefined {
      const type = stream.headers.get('streamtype')?.toLowerCase();
      const port = portOf(stream.headers.get('port'));
      if (port === undefined || (type !== 'data' && type !== 'error')) return undefined;
      // Old clients send no id, and open one connection at a time.
      const key = stream.headers.get('requestid') ?? `port ${port}`;
      if (key.length > MAX_REQUEST_ID) throw new SpdyError(`spdy requestID of more than ${MAX_REQUEST_ID} characters`);
      const pair = pairs.get(key) ?? begin(key, port);
      if (pair[type]) return undefined;
      pair[type] = { send: stream.send, finish: stream.finish };
      if (pair.data && pair.error) {
        clearTimeout(pair.late);
        pairs.delete(key);
        pair.forwarded.start();
      }
      if (type === 'error') return { onData: () => undefined, onEnd: () => undefined };
      const { write, end, destroy } = pair.forwarded;
      return { onData: write, onEnd: end, onReset: destroy };
    },
  });
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}
