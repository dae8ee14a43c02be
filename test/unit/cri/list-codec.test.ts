import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Container, ListContainersResponse } from '../../../generated/runtime/v1/api.js';
import { listCodec } from '../../../src/cri/list-codec.js';

test('a list put together from kept encodings reads as the generated message does', () => {
  const codec = listCodec((record: { id: string }) =>
    Container.encode(Container.fromPartial({ id: record.id })).finish(),
  );
  // One shorter and one longer than what a single length byte holds.
  const records = [{ id: 'a' }, { id: 'b'.repeat(20_000) }];
  const expected = ListContainersResponse.fromPartial({ containers: records });
  assert.deepEqual(ListContainersResponse.decode(codec.encode(records).finish()), expected);
  assert.deepEqual(ListContainersResponse.decode(codec.encode(records).finish()), expected);
});
