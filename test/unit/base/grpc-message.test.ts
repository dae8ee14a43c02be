import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import {
  collectMessage,
  createMessageReader,
  decodeStatusText,
  encodeStatusText,
  framed,
  MAX_GRPC_BYTES,
} from '../../../src/base/grpc-message.js';

const CHUNK_BYTES = 16 << 10;

/** The data of the messages in chunks of `size` bytes. */
function chunksOf(messages: readonly Uint8Array[], size: number): Buffer[] {
  const bytes = Buffer.concat(messages.map(framed));
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

const failureOf = (work: () => unknown): string => {
  try {
    work();
    return 'no failure';
  } catch (thrown) {
    assert.ok(thrown instanceof CriError);
    return `${thrown.code} ${thrown.message}`;
  }
};

test('messages are found wherever the chunks begin and end', () => {
  const messages = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(300, 'x'), Buffer.from('last')];
  for (const size of [1, 2, 3, 4, 5, 6, 7, 10, 299, 1000]) {
    const reader = createMessageReader();
    assert.deepEqual(
      chunksOf(messages, size).flatMap((chunk) => reader.add(chunk)),
      messages,
      `chunks of ${size} bytes`,
    );
    assert.equal(reader.hasRest(), false);
  }
});

test('a message of any size is copied at most twice', (t) => {
  const concat = Buffer.concat.bind(Buffer);
  let copied = 0;
  t.mock.method(Buffer, 'concat', (parts: readonly Uint8Array[], length?: number) => {
    const joined = concat(parts, length);
    copied += joined.length;
    return joined;
  });
  const messages = [Buffer.alloc(3), Buffer.alloc(MAX_GRPC_BYTES), Buffer.alloc(5_000_000)];
  const chunks = chunksOf(messages, CHUNK_BYTES);
  copied = 0;
  const reader = createMessageReader();
  const found = chunks.flatMap((chunk) => reader.add(chunk));
  assert.deepEqual(
    found.map(({ length }) => length),
    messages.map(({ length }) => length),
  );
  assert.ok(copied < 2 * (MAX_GRPC_BYTES + 5_000_000), `${copied} bytes copied`);
});

test('a message that is compressed, too large, incomplete or one of several is refused', () => {
  const compressed = framed(Buffer.from('x'));
  compressed[0] = 1;
  const large = framed(Buffer.alloc(0));
  large.writeUInt32BE(MAX_GRPC_BYTES + 1, 1);
  const whole = framed(Buffer.from('xy'));
  const collected = (encoding: string | undefined, ...chunks: readonly Buffer[]): string =>
    failureOf(() => {
      const collector = collectMessage(encoding);
      for (const chunk of chunks) collector.add(chunk);
      return collector.message();
    });
  assert.deepEqual(
    [
      collected(undefined, whole),
      collected('gzip', whole),
      collected('gzip', compressed),
      collected(undefined, compressed),
      collected('identity', compressed),
      collected(undefined, large),
      collected(undefined),
      collected(undefined, whole.subarray(0, 6)),
      collected(undefined, whole, whole),
      collected(undefined, Buffer.concat([whole, whole])),
      collected(undefined, whole, whole.subarray(0, 1)),
    ],
    [
      'no failure',
      'no failure',
      'UNIMPLEMENTED received a message with grpc-encoding "gzip"; only identity is supported',
      'INTERNAL received a compressed message without a grpc-encoding',
      'INTERNAL received a compressed message without a grpc-encoding',
      `RESOURCE_EXHAUSTED received message larger than max (${MAX_GRPC_BYTES + 1} vs. ${MAX_GRPC_BYTES})`,
      'INTERNAL received no message',
      'INTERNAL received a part of a message',
      'INTERNAL received more than one message',
      'INTERNAL received more than one message',
      'INTERNAL received more than one message',
    ],
  );
});

test('the text of a status survives, and one that is encoded wrongly is kept as it is', () => {
  for (const text of ['', 'plain', '100%', 'a\nb\r\n\t', 'ä 漢 🙂', '%41', '"\\ ~']) {
    const encoded = encodeStatusText(text);
    assert.match(encoded, /^[ -~]*$/);
    assert.equal(decodeStatusText(encoded), text);
  }
  assert.equal(encodeStatusText('\ud800'), '%EF%BF%BD');
  assert.equal(decodeStatusText('100% of %zz'), '100% of %zz');
});
