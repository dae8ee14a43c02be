import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { upgrade } from './upgrade.js';
import { webSocketFrame } from './wire.js';

/** The client's side of a WebSocket connection, with whole messages in both directions. */
export interface WebSocketMessages {
  readonly socket: Socket;
  readonly protocol: string;
  /** Returns false when the server is slow. */
  send(kind: 'text' | 'binary', payload: Uint8Array | string): boolean;
  /** Resolves with the close code; 1006 when the connection broke. */
  readonly closed: Promise<number>;
}

export async function openMessages(
  url: string,
  protocols: readonly string[],
  onMessage: (payload: Buffer) => void,
): Promise<WebSocketMessages> {
  const { socket, head, rest } = await upgrade(url, [
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...(protocols.length > 0 ? [`Sec-WebSocket-Protocol: ${protocols.join(', ')}`] : []),
  ]);
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(head);
  let onClosed: (code: number) => void;
  const closed = new Promise<number>((resolve) => (onClosed = resolve));

  const read = createServerFrames((opcode, payload) => {
    if (opcode === OPCODE.ping) socket.write(webSocketFrame(OPCODE.pong, payload));
    else if (opcode === OPCODE.close) {
      onClosed(payload.length < 2 ? 1005 : payload.readUInt16BE(0));
      socket.end();
    } else if (opcode !== OPCODE.pong) onMessage(payload);
  });
  read(rest);
  socket.on('data', read);
  socket.on('end', () => socket.destroy());
  socket.on('close', () => onClosed(1006));
  socket.resume();

  return {
    socket,
    protocol: /^sec-websocket-protocol: (.*)$/im.exec(head)?.[1] ?? '',
    closed,
    send: (kind, payload) => socket.write(webSocketFrame(OPCODE[kind], payload)),
  };
}

const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Parses the server's frames. They have no mask; fragments are not supported. */
function createServerFrames(onFrame: (opcode: number, payload: Buffer) => void): (bytes: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0);
  return (bytes) => {
    pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    for (;;) {
      const header = readHeader(pending);
      if (!header || pending.length < header.end) return;
      const payload = pending.subarray(header.begin, header.end);
      pending = pending.subarray(header.end);
      onFrame(header.opcode, payload);
    }
  };
}

function readHeader(bytes: Buffer): { opcode: number; begin: number; end: number } | undefined {
  if (bytes.length < 2) return undefined;
  const [first, short] = [bytes.readUInt8(0), bytes.readUInt8(1)];
  if (first < 0x80 || short > 127) throw new Error('a frame of the server is masked or a fragment');
  const begin = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  if (bytes.length < begin) return undefined;
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  return { opcode: first & 0x0f, begin, end: begin + length };
}
