/**
 * What an error's text may have. A runtime or a plugin writes as much as it likes; a gRPC status travels in a header
 * block, which Node ends the stream over when it has more than 64 KiB, and a byte may take three there.
 */
export const MAX_MESSAGE_BYTES = 16 << 10;

/** The text, or its first `maxBytes` and an ellipsis; a character that is cut through becomes U+FFFD. */
export function shortened(text: string, maxBytes = MAX_MESSAGE_BYTES): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes ? text : `${bytes.subarray(0, maxBytes).toString()}…`;
}
