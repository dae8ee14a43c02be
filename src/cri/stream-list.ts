import type { Field } from './list-codec.js';

/** Far below gRPC's limit of 4 MiB that a client has by itself, and of 16 MiB that a kubelet has. */
const MESSAGE_BYTES = 1024 * 1024;

/**
 * A list in encoded messages of a bounded size, whatever its items weigh: an annotation may be as large as 256 KiB. An
 * item that is larger by itself is a message of its own; an empty list is a stream without a message.
 */
export async function* inMessages<T>(
  items: readonly T[] | Promise<readonly T[]>,
  field: Field<T>,
): AsyncGenerator<Uint8Array> {
  let waiting: Buffer[] = [];
  let bytes = 0;
  for (const item of await items) {
    const next = field(item);
    if (waiting.length > 0 && bytes + next.length > MESSAGE_BYTES) {
      yield Buffer.concat(waiting, bytes);
      [waiting, bytes] = [[], 0];
    }
    waiting.push(next);
    bytes += next.length;
  }
  if (waiting.length > 0) yield Buffer.concat(waiting, bytes);
}
