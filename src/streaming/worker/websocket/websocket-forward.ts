import type { ClientConnection } from '../client-connection.js';
import type { ForwardTransport, Forwards } from '../forward-session.js';
import { createChannels } from './websocket-channels.js';

/**
 * Port-forward over the channels of a WebSocket. For the n-th port, channel 2n carries data and channel 2n + 1 an error
 * message. The first message of each channel is the port in two bytes, little-endian. There is one TCP connection per
 * port.
 */
export function createWebSocketForward(
  link: ClientConnection,
  base64: boolean,
  ports: readonly number[],
  forwards: Forwards,
): ForwardTransport {
  const channels = createChannels({
    link,
    base64,
    endSignal: false,
    onData: (channel, bytes) => {
      if (channel % 2 === 0) connections[channel / 2]?.write(bytes);
    },
    onEnd: () => undefined,
  });
  let running = ports.length;

  const connections = ports.map((port, index) => {
    const [data, error] = [2 * index, 2 * index + 1];
    for (const channel of [data, error]) channels.send(channel, Buffer.from([port & 0xff, port >> 8]));
    const forwarded = forwards.add({
      port,
      send: (bytes) => channels.send(data, bytes),
      // This protocol cannot signal the end of one direction.
      onEnd: () => forwarded.destroy(),
      onRefused: (message) => void channels.send(error, Buffer.from(message)),
      onClosed() {
        running -= 1;
        if (running === 0) channels.close(1000, '');
      },
    });
    forwarded.start();
    return forwarded;
  });

  return {
    receive: channels.receive,
    probe: channels.ping,
    finish: () => channels.close(1000, ''),
  };
}
