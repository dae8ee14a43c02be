/**
 * The limit of an error message. A runtime or a plugin may write any amount, but a gRPC status travels in a header
 * block: Node ends the stream if that exceeds 64 KiB, and one byte of the message may take three there.
 */
export const MAX_MESSAGE_BYTES = 16 << 10;

/** Returns the text, or its first `maxBytes` bytes and an ellipsis; a character cut in the middle becomes U+FFFD. */
export function shortened(text: string, maxBytes = MAX_MESSAGE_BYTES): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes ? text : `${bytes.subarray(0, maxBytes).toString()}…`;
}
