import { CriError } from './errors.js';

/**
 * The messages in the data of a gRPC call (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md,
 * "Length-Prefixed-Message"). crid and containerd send them without compression.
 */

/** The largest message in both directions: the limit of containerd, and that of a kubelet. */
export const MAX_GRPC_BYTES = 16 * 1024 * 1024;
/** A byte for the compression and the message's length in four. */
const PREFIX_BYTES = 5;

/** Returns a message with its prefix. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** The `grpc-message` of a status: percent-encoded UTF-8. */
export const encodeStatusText = (text: string): string => encodeURI(Buffer.from(text).toString());

export function decodeStatusText(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Finds the messages in data that arrives in chunks. */
export interface MessageReader {
  /**
   * Returns the messages that the chunk completes. RESOURCE_EXHAUSTED for a message larger than `MAX_GRPC_BYTES`; for a
   * compressed one INTERNAL, or UNIMPLEMENTED if the reader knows the algorithm's name.
   */
  add(chunk: Buffer): Buffer[];
  /** Whether there are bytes of a message that is not complete. */
  hasRest(): boolean;
}

/** `encoding`: the header `grpc-encoding` of a request (grpc's doc/compression.md). */
export function createMessageReader(encoding = 'identity'): MessageReader {
  // Joined once for each message: 16 MiB arrive in a thousand chunks.
  let chunks: Buffer[] = [];
  let bytes = 0;
  let frameBytes: number | undefined;
  const joined = (): Buffer => {
    const [first] = chunks;
    const all = chunks.length === 1 && first ? first : Buffer.concat(chunks, bytes);
    chunks = [all];
    return all;
  };
  return {
    add(chunk) {
      chunks.push(chunk);
      bytes += chunk.length;
      const messages: Buffer[] = [];
      while (bytes >= (frameBytes ?? PREFIX_BYTES)) {
        const all = joined();
        if (frameBytes === undefined) {
          frameBytes = frameBytesOf(all, encoding);
          continue;
        }
        messages.push(all.subarray(PREFIX_BYTES, frameBytes));
        chunks = [all.subarray(frameBytes)];
        bytes -= frameBytes;
        frameBytes = undefined;
      }
      return messages;
    },
    hasRest: () => bytes > 0,
  };
}

function frameBytesOf(prefix: Buffer, encoding: string): number {
  if (prefix[0] !== 0) throw compressed(encoding);
  const length = prefix.readUInt32BE(1);
  if (length <= MAX_GRPC_BYTES) return PREFIX_BYTES + length;
  throw new CriError('RESOURCE_EXHAUSTED', `received message larger than max (${length} vs. ${MAX_GRPC_BYTES})`);
}

const compressed = (encoding: string): CriError =>
  encoding === 'identity'
    ? new CriError('INTERNAL', 'received a compressed message without a grpc-encoding')
    : new CriError('UNIMPLEMENTED', `received a message with grpc-encoding "${encoding}"; only identity is supported`);

/** Collects the one message of a request or of a response. */
export interface MessageCollector {
  /** Fails as `MessageReader.add`, and with INTERNAL when data follows the message. */
  add(chunk: Buffer): void;
  /** Returns the message; INTERNAL when there is none, or only a part of it. */
  message(): Buffer;
}

export function collectMessage(encoding?: string): MessageCollector {
  const reader = createMessageReader(encoding);
  let message: Buffer | undefined;
  return {
    add(chunk) {
      const [first, second] = reader.add(chunk);
      const isMore = second !== undefined || (message !== undefined && first !== undefined);
      message ??= first;
      if (isMore || (message && reader.hasRest())) throw new CriError('INTERNAL', 'received more than one message');
    },
    message() {
      if (message) return message;
      throw new CriError('INTERNAL', reader.hasRest() ? 'received a part of a message' : 'received no message');
    },
  };
}
