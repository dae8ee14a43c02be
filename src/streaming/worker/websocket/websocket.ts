import { createHash } from 'node:crypto';
import type { ClientConnection } from '../client-connection.js';
import { createFrameReader, frameHeader, OPCODE, WebSocketError, type MessagePart } from './websocket-frames.js';

/** A WebSocket connection over a link, after the handshake. */
export interface WebSocketConnection {
  /** Handles bytes of the client. A client that breaks the protocol gets a close frame. */
  receive(bytes: Buffer): void;
  /** Sends one message. Returns false when the client is slow. */
  send(text: boolean, ...parts: readonly Uint8Array[]): boolean;
  ping(): void;
  /** Sends the close frame and ends the link. */
  close(code: number, reason: string): void;
}

/** Returns `Sec-WebSocket-Accept` for a client's key (RFC 6455 section 4.2.2). */
export const acceptKey = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

export function createWebSocket(link: ClientConnection, onPart: (part: MessagePart) => void): WebSocketConnection {
  let closing = false;

  const sendFrame = (opcode: number, parts: readonly Uint8Array[]): boolean => {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    return link.send(frameHeader(opcode, length), ...parts);
  };

  const close = (code: number, reason: string): void => {
    if (closing) return;
    closing = true;
    const payload = Buffer.alloc(2 + Math.min(Buffer.byteLength(reason), MAX_REASON_BYTES));
    payload.writeUInt16BE(code, 0);
    payload.write(reason, 2);
    sendFrame(OPCODE.close, [payload]);
    link.end();
  };

  const read = createFrameReader({
    onPart,
    onPing: (payload) => void sendFrame(OPCODE.pong, [payload]),
    onPong: () => undefined,
    onClose: (code) => {
      close(code === 1005 ? 1000 : code, '');
      link.destroy('the client closed the connection');
    },
  });

  return {
    receive(bytes) {
      if (closing) return;
      try {
        read(bytes);
      } catch (thrown) {
        if (!(thrown instanceof WebSocketError)) throw thrown;
        close(thrown.closeCode, thrown.message);
        throw thrown;
      }
    },
    send: (text, ...parts) => closing || sendFrame(text ? OPCODE.text : OPCODE.binary, parts),
    ping: () => void (closing || sendFrame(OPCODE.ping, [])),
    close,
  };
}

/** A control frame carries 125 bytes, two of which are the code. */
const MAX_REASON_BYTES = 123;
