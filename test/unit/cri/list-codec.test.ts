import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Container, ListContainersResponse, StreamContainersResponse } from '../../../generated/runtime/v1/api.js';
import { fieldOf, listCodec } from '../../../src/cri/list-codec.js';
import { inMessages } from '../../../src/cri/stream-list.js';

const field = fieldOf((record: { id: string }) => Container.encode(Container.fromPartial({ id: record.id })).finish());

test('a list of cached encodings decodes like the generated message', () => {
  const codec = listCodec(field);
  // The first record's length fits into one byte, the second's does not.
  const records = [{ id: 'a' }, { id: 'b'.repeat(20_000) }];
  const expected = ListContainersResponse.fromPartial({ containers: records });
  assert.deepEqual(ListContainersResponse.decode(codec.encode(records).finish()), expected);
  assert.deepEqual(ListContainersResponse.decode(codec.encode(records).finish()), expected);
});

test('a stream has messages of at most 1 MiB, and a larger item has its own message', async () => {
  const sizes = [1, 600_000, 300_000, 3_000_000, 2, 500_000, 3];
  const records = sizes.map((size, index) => ({ id: String(index).repeat(size) }));
  const messages: string[][] = [];
  for await (const bytes of inMessages(records, field)) {
    messages.push(StreamContainersResponse.decode(bytes).containers.map(({ id }) => id));
  }
  assert.deepEqual(
    messages.map((ids) => ids.map((id) => id.length)),
    [[1, 600_000, 300_000], [3_000_000], [2, 500_000, 3]],
  );
  assert.deepEqual(
    messages.flat(),
    records.map(({ id }) => id),
  );
  for await (const message of inMessages([], field)) assert.fail(String(message));
});
