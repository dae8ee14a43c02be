import type { ClientConnection } from '../client-connection.js';
import { createWebSocket, type WebSocketConnection } from './websocket.js';
import { WebSocketError, type MessagePart } from './websocket-frames.js';

/** Numbered channels inside one WebSocket. The first byte of each message is the number of its channel. */
export interface Channels extends Pick<WebSocketConnection, 'receive' | 'ping' | 'close'> {
  /** Sends a message on a channel. Returns false when the client is slow. */
  send(channel: number, bytes: Uint8Array): boolean;
}

export interface ChannelsOptions {
  readonly link: ClientConnection;
  /** Whether messages are text: one character for the channel (see `digitOf`), then base64. */
  readonly base64: boolean;
  /** Whether the client may end a channel with a message of 255 and the channel's number (protocol version 5). */
  readonly endSignal: boolean;
  readonly onData: (channel: number, bytes: Buffer) => void;
  readonly onEnd: (channel: number) => void;
}

export function createChannels(options: ChannelsOptions): Channels {
  const { base64 } = options;
  const socket = createWebSocket(options.link, base64 ? gatherBase64(options.onData) : splitRaw(options));
  return {
    receive: socket.receive,
    ping: socket.ping,
    close: socket.close,
    send: (channel, bytes) =>
      base64
        ? socket.send(true, Buffer.from(`${digitOf(channel)}${Buffer.from(bytes).toString('base64')}`, 'latin1'))
        : socket.send(false, Buffer.from([channel]), bytes),
  };
}

const END_SIGNAL = 255;
const MAX_BASE64_BYTES = 1024 * 1024;
const ZERO = '0'.charCodeAt(0);

/** Returns the character of a channel. Kubernetes counts on from '0', so channel 10 is ':' and not a digit. */
const digitOf = (channel: number): string => String.fromCharCode(ZERO + channel);

/** Passes the parts of a message on as they arrive, once its channel is known. */
function splitRaw({ endSignal, onData, onEnd }: ChannelsOptions): (part: MessagePart) => void {
  let channel: number | undefined;

  return ({ bytes, last }) => {
    let rest = bytes;
    if (channel === undefined && rest.length > 0) {
      channel = rest.readUInt8(0);
      rest = rest.subarray(1);
    }
    if (endSignal && channel === END_SIGNAL) {
      if (rest.length > 1) throw new WebSocketError(1002, 'websocket end signal for more than one channel');
      if (rest.length === 1) onEnd(rest.readUInt8(0));
    } else if (channel !== undefined && rest.length > 0) {
      onData(channel, rest);
    }
    if (last) channel = undefined;
  };
}

/**
 * Gathers a whole message before it decodes it, because base64 cannot be cut at an arbitrary byte. The message is
 * gathered as a string: a list of Buffer slices would keep each received buffer in memory, also for empty fragments.
 */
function gatherBase64(onData: ChannelsOptions['onData']): (part: MessagePart) => void {
  let message = '';

  return ({ bytes, last }) => {
    if (message.length + bytes.length > MAX_BASE64_BYTES)
      throw new WebSocketError(1009, `websocket message of more than ${MAX_BASE64_BYTES} bytes`);
    message += bytes.toString('latin1');
    if (!last) return;
    const channel = message.charCodeAt(0) - ZERO;
    const decoded = Buffer.from(message.slice(1), 'base64');
    message = '';
    if (decoded.length > 0) onData(channel, decoded);
  };
}
