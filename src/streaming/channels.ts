import type { Link } from './link.js';
import { createWebSocket, type WebSocketConnection } from './websocket.js';
import { WebSocketError, type MessagePart } from './websocket-frames.js';

/** Numbered channels in one WebSocket: each message begins with its channel's number. */
export interface Channels extends Pick<WebSocketConnection, 'receive' | 'ping' | 'close'> {
  /** False: the client is slow. */
  send(channel: number, bytes: Uint8Array): boolean;
}

export interface ChannelsOptions {
  readonly link: Link;
  /** Text messages: one character for the channel (see `digitOf`), then base64. */
  readonly base64: boolean;
  /** Version 5: 255 and a channel's number end that channel. */
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

/** One character for any channel, as Kubernetes has it: what comes after '9' is no digit. */
const digitOf = (channel: number): string => String.fromCharCode(ZERO + channel);

/** Passes a message on as it comes, once its channel is known. */
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
 * Base64 cannot be cut anywhere, so a whole message is gathered, as text: pieces would each hold the buffer that they came
 * in, and a piece of nothing its place among them.
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
