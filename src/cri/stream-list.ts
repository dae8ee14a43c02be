/** As many items as one message of a streamed list has: some 200 KiB of containers, far below gRPC's limit. */
const CHUNK_ITEMS = 100;

/** A list in messages of a bounded size; an empty list is a stream without a message. */
export async function* inChunks<T, Message>(
  items: readonly T[] | Promise<readonly T[]>,
  message: (chunk: T[]) => Message,
): AsyncGenerator<Message> {
  const all = await items;
  for (let next = 0; next < all.length; next += CHUNK_ITEMS) yield message(all.slice(next, next + CHUNK_ITEMS));
}
