import type { Field } from './list-codec.js';

/** Far below gRPC's limits: 4 MiB is the default of clients, and the kubelet sets 16 MiB. */
const MESSAGE_BYTES = 1024 * 1024;

/**
 * Splits a list into encoded messages of bounded size. Items can be large: an annotation may have 256 KiB. An item
 * above the bound is a message of its own; an empty list is a stream without messages.
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
