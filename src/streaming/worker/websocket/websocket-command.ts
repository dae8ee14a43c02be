import { outcomeText } from '../../shared/outcome.js';
import type { Grant } from '../../shared/session-messages.js';
import type { ClientConnection } from '../client-connection.js';
import { createSizeReader, type CommandEvents, type CommandTransport } from '../command-transport.js';
import type { CommandProtocol } from '../subprotocols.js';
import { createChannels } from './websocket-channels.js';

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
const NOTHING = Buffer.alloc(0);

/** Exec and attach over a WebSocket: `channel.k8s.io` and its versions. */
export function createWebSocketCommand(
  link: ClientConnection,
  protocol: CommandProtocol,
  grant: Extract<Grant, { kind: 'command' }>,
  events: CommandEvents,
): CommandTransport {
  const readSize = createSizeReader(events.onResize);
  const channels = createChannels({
    link,
    base64: protocol.base64,
    endSignal: protocol.version >= 5,
    onData(channel, bytes) {
      if (channel === CHANNEL.stdin && grant.stdin) events.onStdin(bytes);
      else if (channel === CHANNEL.resize && grant.tty) readSize(bytes);
    },
    onEnd(channel) {
      if (channel === CHANNEL.stdin && grant.stdin) events.onStdinEnd();
    },
  });

  // Old clients wait for a first, empty message before they consider the connection established.
  channels.send(grant.stdout ? CHANNEL.stdout : grant.stderr ? CHANNEL.stderr : CHANNEL.error, NOTHING);
  setImmediate(events.onReady);

  return {
    receive: channels.receive,
    probe: channels.ping,
    send: (stream, bytes) => channels.send(CHANNEL[stream], bytes),
    finishOutput: () => undefined,
    finish(outcome) {
      const text = outcomeText(outcome, protocol.version);
      if (text !== '') channels.send(CHANNEL.error, Buffer.from(text));
      channels.close(1000, '');
    },
  };
}
