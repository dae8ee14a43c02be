/**
 * The messages in the data of a gRPC call (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md,
 * "Length-Prefixed-Message"). crid and containerd send them without compression.
 */

/** The largest message in both directions: the limit of containerd, and that of a kubelet. */
export const MAX_GRPC_BYTES = 16 * 1024 * 1024;
/** A byte for the compression and the message's length in four. */
export const PREFIX_BYTES = 5;

/** Returns a message with its prefix. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** Returns the length of the first message with its prefix; undefined while the prefix is incomplete. */
export const framedLength = (bytes: Buffer): number | undefined =>
  bytes.length < PREFIX_BYTES ? undefined : PREFIX_BYTES + bytes.readUInt32BE(1);

/** A message that is not the first byte's promise: compressed. */
export const isCompressed = (frame: Buffer): boolean => frame[0] !== 0;

/** The `grpc-message` of a status: percent-encoded UTF-8. */
export const encodeStatusText = (text: string): string => encodeURI(Buffer.from(text).toString());

export function decodeStatusText(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Collects the data of one message. */
export interface MessageCollector {
  /** Returns false when the data exceeds `MAX_GRPC_BYTES`. */
  add(chunk: Buffer): boolean;
  /** Returns the message; undefined when it is incomplete or compressed. */
  message(): Buffer | undefined;
}

export function collectMessage(): MessageCollector {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    add(chunk) {
      chunks.push(chunk);
      bytes += chunk.length;
      return bytes <= MAX_GRPC_BYTES + PREFIX_BYTES;
    },
    message() {
      const [first] = chunks;
      const frame = chunks.length === 1 && first ? first : Buffer.concat(chunks);
      const isWhole = framedLength(frame) === frame.length && !isCompressed(frame);
      return isWhole ? frame.subarray(PREFIX_BYTES) : undefined;
    },
  };
}
