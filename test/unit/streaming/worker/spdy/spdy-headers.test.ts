import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, inflateSync } from 'node:zlib';
import { SPDY_DICTIONARY, SPDY_DICTIONARY_ID } from '../../../../../src/streaming/worker/spdy/spdy-dictionary.js';
import { SpdyError } from '../../../../../src/streaming/worker/spdy/spdy-frames.js';
import { createHeaderReader, createHeaderWriter } from '../../../../../src/streaming/worker/spdy/spdy-headers.js';
import {
  firstHeaderBlock,
  headerDeflater,
  plainHeaders,
  randomBuffer,
  seeded,
} from '../../../../harness/streaming/wire.js';

/** RFC 1950 section 8.2. */
function adler32(bytes: Buffer): number {
  let [low, high] = [1, 0];
  for (const byte of bytes) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  return high * 65_536 + low;
}

test('the dictionary is the one of the specification', () => {
  assert.deepEqual([SPDY_DICTIONARY.length, adler32(SPDY_DICTIONARY)], [1423, SPDY_DICTIONARY_ID]);
});

test('blocks that are deflated one after another are read one after another', async () => {
  const deflate = headerDeflater();
  const read = createHeaderReader();
  for (let index = 0; index < 3_000; index += 1) {
    const headers = { streamtype: index % 2 ? 'data' : 'error', port: '8080', requestid: String(index) };
    const block = await deflate({ ...headers, 'X-Long': 'x'.repeat(index % 97) });
    assert.deepEqual(Object.fromEntries(read(block)), { ...headers, 'x-long': 'x'.repeat(index % 97) });
  }
});

test('written header blocks are one zlib stream, each of them complete', () => {
  const write = createHeaderWriter();
  const blocks = [new Map([['a', '1']]), new Map(), new Map([['b', '2']])].map(write);
  const plain = inflateSync(Buffer.concat(blocks), {
    dictionary: SPDY_DICTIONARY,
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  assert.deepEqual(plain, Buffer.concat([plainHeaders({ a: '1' }), plainHeaders({}), plainHeaders({ b: '2' })]));
});

test('a header bomb is refused, and so are bytes that are not a header block', () => {
  const bomb = firstHeaderBlock(plainHeaders({ bomb: 'x'.repeat(10_000_000) }));
  const many = firstHeaderBlock(plainHeaders(Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`h${n}`, '']))));
  const cut = firstHeaderBlock(plainHeaders({ name: 'value' }).subarray(0, -1));
  const negative = firstHeaderBlock(Buffer.from([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]));
  for (const block of [bomb, many, cut, negative, Buffer.alloc(0), Buffer.from('garbage')]) {
    assert.throws(() => createHeaderReader()(block), SpdyError);
  }
});

test('random bytes end in a SpdyError or in headers', () => {
  for (let seed = 0; seed < 2_000; seed += 1) {
    const random = seeded(seed);
    const block = firstHeaderBlock(plainHeaders({ streamtype: 'data', port: '80', other: 'x'.repeat(seed % 50) }));
    for (let flips = 1 + Math.floor(random() * 5); flips > 0; flips -= 1) {
      block[Math.floor(random() * block.length)] = Math.floor(random() * 256);
    }
    try {
      createHeaderReader()(random() < 0.2 ? randomBuffer(40, random) : block);
    } catch (thrown) {
      assert.ok(thrown instanceof SpdyError, `seed ${seed}: ${String(thrown)}`);
    }
  }
});
