/**
 * The frames of NRI's multiplexed connection (github.com/containerd/nri, pkg/net/multiplex): the id of a connection and
 * the length of the payload, 4 bytes each with the highest first, then the payload.
 */

export const FRAME_HEADER_BYTES = 8;
/** The largest ttrpc message with its header. NRI 0.12.5 closes the trunk at a longer frame. */
export const MAX_FRAME_BYTES = 10 + 4 * 2 ** 20;
/** The buffer of Go's bufio.Writer and bufio.Reader. */
const GO_BUFFER_BYTES = 4096;

/** A piece of the payload of a frame. A frame may arrive in any number of pieces. */
interface Piece {
  readonly connection: number;
  readonly bytes: Buffer;
}

export class FrameTooLong extends Error {}

/**
 * Returns a function that takes the next bytes of the trunk and returns the payload in them. It keeps at most a header.
 * Throws FrameTooLong.
 */
export function frameParser(): (bytes: Buffer) => Generator<Piece> {
  let header = Buffer.alloc(0);
  let connection = 0;
  let left = 0;
  return function* (bytes) {
    for (let at = 0; at < bytes.length;) {
      if (left === 0) {
        const taken = bytes.subarray(at, at + FRAME_HEADER_BYTES - header.length);
        header = Buffer.concat([header, taken]);
        at += taken.length;
        if (header.length < FRAME_HEADER_BYTES) return;
        connection = header.readUInt32BE(0);
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        if (left > MAX_FRAME_BYTES)
          throw new FrameTooLong(
            `connection ${connection}: a frame of ${left} bytes, the maximum is ${MAX_FRAME_BYTES}`,
          );
        continue;
      }
      const piece = bytes.subarray(at, at + left);
      at += piece.length;
      left -= piece.length;
      yield { connection, bytes: piece };
    }
  };
}

/**
 * Returns the frames of one message. Go's multiplexer gives a whole frame to each read and fails if the reader's buffer
 * is smaller, and ttrpc reads the header of a message with a buffer of 4096 bytes. The frames are therefore those that
 * Go's bufio.Writer makes: the first 4096 bytes, and the rest.
 */
export function encodeFrames(connection: number, message: Buffer): Buffer[] {
  const parts =
    message.length <= GO_BUFFER_BYTES
      ? [message]
      : [message.subarray(0, GO_BUFFER_BYTES), message.subarray(GO_BUFFER_BYTES)];
  return parts.flatMap((part) => {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32BE(connection, 0);
    header.writeUInt32BE(part.length, 4);
    return [header, part];
  });
}
