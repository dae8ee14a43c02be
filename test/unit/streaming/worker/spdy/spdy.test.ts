import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONTROL,
  controlFrame,
  createSpdyFrameReader,
  dataHeader,
  SpdyError,
} from '../../../../../src/streaming/worker/spdy/spdy-frames.js';
import { createSpdyConnection, type SpdyStream } from '../../../../../src/streaming/worker/spdy/spdy.js';
import { headerDeflater, pieces, randomBuffer, seeded, synStream } from '../../../../harness/streaming/wire.js';

/** A connection whose streams record their data. The frames that it sends are kept. */
function setUp(refuse: (type: string | undefined) => boolean = () => false) {
  const sent: Buffer[] = [];
  const streams: { stream: SpdyStream; received: string; ended: boolean }[] = [];
  const connection = createSpdyConnection({
    send(...parts) {
      sent.push(...parts.map((part) => Buffer.from(part)));
      return true;
    },
    onStream(stream) {
      if (refuse(stream.headers.get('streamtype'))) return undefined;
      const entry = { stream, received: '', ended: false };
      streams.push(entry);
      return {
        onData: (bytes) => (entry.received += bytes.toString('latin1')),
        onEnd: () => (entry.ended = true),
      };
    },
  });
  /** Returns the frames since the last call, without header blocks. */
  const frames = (): unknown[] => {
    const seen: unknown[] = [];
    const read = createSpdyFrameReader({
      onData: (id, bytes, last) => seen.push(['data', id, bytes.toString('latin1'), last]),
      onControl: (type, _flags, payload) =>
        seen.push([type, ...(type === CONTROL.synReply ? [payload.readUInt32BE(0)] : words(payload))]),
    });
    for (const bytes of sent.splice(0)) read(bytes);
    return seen;
  };
  return { connection, streams, frames };
}

const words = (payload: Buffer): number[] =>
  Array.from({ length: payload.length / 4 }, (_, index) => payload.readUInt32BE(index * 4));

const data = (id: number, text: string, last = false): Buffer =>
  Buffer.concat([dataHeader(id, text.length, last), Buffer.from(text)]);

test('two streams at once, both ways, however the bytes are cut', async () => {
  const deflate = headerDeflater();
  const bytes = Buffer.concat([
    synStream(1, await deflate({ streamType: 'error' })),
    synStream(3, await deflate({ streamType: 'data' })),
    data(3, 'first '),
    controlFrame(CONTROL.settings, 0, 0),
    controlFrame(CONTROL.windowUpdate, 0, 3, 65_536),
    data(1, '', true),
    controlFrame(CONTROL.ping, 0, 1),
    data(3, 'second', true),
    data(3, 'too late'),
    data(99, 'no such stream'),
  ]);
  for (let seed = 0; seed < 20; seed += 1) {
    const { connection, streams, frames } = setUp();
    for (const piece of pieces(bytes, seeded(seed), 40)) connection.receive(piece);
    assert.deepEqual(
      streams.map(({ stream, received, ended }) => [stream.headers.get('streamtype'), received, ended]),
      [
        ['error', '', true],
        ['data', 'first second', true],
      ],
    );
    assert.deepEqual(frames(), [
      [CONTROL.synReply, 1],
      [CONTROL.synReply, 3],
      [CONTROL.ping, 1],
    ]);
    streams[1]?.stream.send(Buffer.from('answer'));
    streams[1]?.stream.finish();
    streams[1]?.stream.finish();
    streams[1]?.stream.send(Buffer.from('too late'));
    assert.deepEqual(frames(), [
      ['data', 3, 'answer', false],
      ['data', 3, '', true],
    ]);
  }
});

test('an unwanted stream is reset; its headers still count for the next ones', async () => {
  const deflate = headerDeflater();
  const { connection, streams, frames } = setUp((type) => type === 'odd');
  connection.receive(synStream(1, await deflate({ streamType: 'odd' })));
  connection.receive(synStream(3, await deflate({ streamType: 'data' })));
  assert.deepEqual(frames(), [
    [CONTROL.rstStream, 1, 3],
    [CONTROL.synReply, 3],
  ]);
  assert.equal(streams.length, 1);
});

test('a reset by the client ends the stream, and nothing is sent on it any more', async () => {
  const { connection, streams, frames } = setUp();
  connection.receive(synStream(1, await headerDeflater()({ streamType: 'data' })));
  connection.receive(controlFrame(CONTROL.rstStream, 0, 1, 5));
  streams[0]?.stream.send(Buffer.from('x'));
  streams[0]?.stream.finish();
  assert.deepEqual([streams[0]?.ended, frames()], [true, [[CONTROL.synReply, 1]]]);
});

test('streams beyond 4,096 are refused', async () => {
  const deflate = headerDeflater();
  const { connection, frames } = setUp();
  for (let id = 1; id < 2 * 4096; id += 2) connection.receive(synStream(id, await deflate({})));
  frames();
  connection.receive(synStream(2 * 4096 + 1, await deflate({})));
  assert.deepEqual(frames(), [[CONTROL.rstStream, 2 * 4096 + 1, 3]]);
});

test('data that breaks the protocol is refused', async () => {
  const block = await headerDeflater()({ streamType: 'data' });
  const version2 = Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]);
  const cases: [string, Buffer][] = [
    ['another version', version2],
    ['an even id', synStream(2, block)],
    ['an oversized control frame', Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])],
    ['a SYN_STREAM that is cut off', controlFrame(CONTROL.synStream, 0, 1)],
    ['an empty RST_STREAM', controlFrame(CONTROL.rstStream, 0)],
    ['an empty PING', controlFrame(CONTROL.ping, 0)],
    ['a SYN_REPLY', controlFrame(CONTROL.synReply, 0, 1)],
    ['no headers', controlFrame(CONTROL.synStream, 0, 1, 0, Buffer.alloc(2))],
  ];
  for (const [name, bytes] of cases) assert.throws(() => setUp().connection.receive(bytes), SpdyError, name);
});

test('random bytes end in a SpdyError or in nothing', async () => {
  const deflate = headerDeflater();
  const valid = Buffer.concat([
    synStream(1, await deflate({ streamType: 'error', port: '80' })),
    synStream(3, await deflate({ streamType: 'data', port: '80' })),
    data(3, 'some bytes'),
    controlFrame(CONTROL.ping, 0, 7),
    data(3, '', true),
  ]);
  for (let seed = 0; seed < 3_000; seed += 1) {
    const random = seeded(seed);
    const bytes = random() < 0.2 ? randomBuffer(100, random) : Buffer.from(valid);
    for (let flips = Math.floor(random() * 6); flips > 0; flips -= 1) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    const { connection } = setUp();
    try {
      for (const piece of pieces(bytes, random, 50)) connection.receive(piece);
    } catch (thrown) {
      assert.ok(thrown instanceof SpdyError, `seed ${seed}: ${String(thrown)}`);
    }
  }
});
