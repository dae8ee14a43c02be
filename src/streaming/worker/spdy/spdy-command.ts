import { outcomeText } from '../../shared/outcome.js';
import type { Grant } from '../../shared/session-messages.js';
import type { ClientConnection } from '../client-connection.js';
import { createSizeReader, type CommandEvents, type CommandTransport } from '../command-transport.js';
import type { CommandProtocol } from '../subprotocols.js';
import { createSpdyConnection, type SpdyStream, type StreamListener } from './spdy.js';

/** Clients open their streams one after another, within this time. */
const STREAMS_WITHIN_MS = 30_000;

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

/** Exec and attach over SPDY/3.1. Each stream is named by its header `streamType`. */
export function createSpdyCommand(
  link: ClientConnection,
  protocol: CommandProtocol,
  grant: Extract<Grant, { kind: 'command' }>,
  events: CommandEvents,
): CommandTransport {
  const streams = new Map<StreamType, SpdyStream>();
  const expected = new Set(expectedStreams(protocol, grant));
  const inTime = link.destroyAfter(
    STREAMS_WITHIN_MS,
    () => `the client did not open its streams: ${[...expected].join(', ')}`,
  );

  const listeners: Record<StreamType, StreamListener> = {
    stdin: { onData: events.onStdin, onEnd: events.onStdinEnd },
    resize: { onData: createSizeReader(events.onResize), onEnd: () => undefined },
    error: IGNORED,
    stdout: IGNORED,
    stderr: IGNORED,
  };

  const connection = createSpdyConnection({
    send: link.send,
    onStream(stream) {
      const type = stream.headers.get('streamtype')?.toLowerCase() as StreamType;
      if (!expected.delete(type)) return undefined;
      streams.set(type, stream);
      if (expected.size === 0) {
        inTime();
        setImmediate(events.onReady);
      }
      return listeners[type];
    },
  });

  return {
    receive: connection.receive,
    probe: connection.ping,
    send: (stream, bytes) => streams.get(stream)?.send(bytes) ?? true,
    finishOutput: (stream) => streams.get(stream)?.finish(),
    finish(outcome) {
      inTime();
      streams.get('error')?.send(Buffer.from(outcomeText(outcome, protocol.version)));
      for (const stream of streams.values()) stream.finish();
      connection.goAway();
      link.end();
    },
  };
}

const IGNORED: StreamListener = { onData: () => undefined, onEnd: () => undefined };

function expectedStreams({ version }: CommandProtocol, grant: Extract<Grant, { kind: 'command' }>): StreamType[] {
  const { stdin, stdout, stderr, tty } = grant;
  return [
    'error',
    ...(stdin ? (['stdin'] as const) : []),
    ...(stdout ? (['stdout'] as const) : []),
    ...(stderr ? (['stderr'] as const) : []),
    ...(tty && version >= 3 ? (['resize'] as const) : []),
  ];
}
