/**
 * The messages of ttrpc (github.com/containerd/ttrpc, PROTOCOL.md): the length of the data and the id of the stream, 4
 * bytes each with the highest first, the type, the flags, then the data.
 */

const MESSAGE_HEADER_BYTES = 10;
export const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

export const MessageType = { REQUEST: 1, RESPONSE: 2, DATA: 3 } as const;

export interface Message {
  /** Odd for streams of the client. */
  readonly stream: number;
  /** A MessageType, or a type of a later version of the protocol. */
  readonly type: number;
  /** 0 for a unary call. */
  readonly flags: number;
  readonly data: Buffer;
}

export class MessageTooLong extends Error {}

/**
 * Returns a function that takes the next bytes of a connection and returns the messages that they complete. It keeps at
 * most one message. Throws MessageTooLong.
 */
export function messageParser(): (bytes: Buffer) => Generator<Message> {
  const collect = collector();
  let header: Buffer | undefined;
  return function* (bytes) {
    let at = 0;
    while (at < bytes.length || (header !== undefined && lengthOf(header) === 0)) {
      const wanted = header === undefined ? MESSAGE_HEADER_BYTES : lengthOf(header);
      const { taken, whole } = collect(bytes.subarray(at), wanted);
      at += taken;
      if (whole === undefined) return;
      if (header === undefined) {
        header = whole;
        if (lengthOf(header) > MAX_MESSAGE_BYTES)
          throw new MessageTooLong(`a message of ${lengthOf(header)} bytes, the maximum is ${MAX_MESSAGE_BYTES}`);
        continue;
      }
      const message = { stream: header.readUInt32BE(4), type: header.readUInt8(8), flags: header.readUInt8(9) };
      header = undefined;
      yield { ...message, data: whole };
    }
  };
}

export function encodeMessage({ stream, type, flags, data }: Message): Buffer {
  const message = Buffer.alloc(MESSAGE_HEADER_BYTES + data.length);
  message.writeUInt32BE(data.length, 0);
  message.writeUInt32BE(stream, 4);
  message.writeUInt8(type, 8);
  message.writeUInt8(flags, 9);
  data.copy(message, MESSAGE_HEADER_BYTES);
  return message;
}

const lengthOf = (header: Buffer): number => header.readUInt32BE(0);

/**
 * Returns a function that collects `wanted` bytes from pieces and returns them when it has them all. It copies the
 * pieces, because many small ones take far more memory than their bytes, and it grows with what has arrived, because
 * the peer may announce more than it sends.
 */
function collector(): (bytes: Buffer, wanted: number) => { taken: number; whole: Buffer | undefined } {
  let kept = Buffer.alloc(0);
  let length = 0;
  return (bytes, wanted) => {
    if (length === 0 && bytes.length >= wanted) return { taken: wanted, whole: bytes.subarray(0, wanted) };
    const taken = Math.min(bytes.length, wanted - length);
    if (length + taken > kept.length) {
      const grown = Buffer.alloc(Math.min(wanted, Math.max(2 * kept.length, length + taken)));
      kept.copy(grown, 0, 0, length);
      kept = grown;
    }
    bytes.copy(kept, length, 0, taken);
    length += taken;
    if (length < wanted) return { taken, whole: undefined };
    const whole = kept.subarray(0, wanted);
    [kept, length] = [Buffer.alloc(0), 0];
    return { taken, whole };
  };
}
