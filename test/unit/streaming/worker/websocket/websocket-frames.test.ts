import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createFrameReader,
  frameHeader,
  OPCODE,
  WebSocketError,
} from '../../../../../src/streaming/worker/websocket/websocket-frames.js';
import { pieces, randomBuffer, seeded, webSocketFrame } from '../../../../harness/streaming/wire.js';

/** Returns what a reader emits for these bytes: whole messages, and control frames between them. */
function read(chunks: Iterable<Buffer>): unknown[] {
  const seen: unknown[] = [];
  let message: Buffer[] = [];
  const reader = createFrameReader({
    onPart({ bytes, text, last }) {
      message.push(Buffer.from(bytes));
      if (!last) return;
      seen.push([text ? 'text' : 'binary', Buffer.concat(message).toString('latin1')]);
      message = [];
    },
    onPing: (payload) => seen.push(['ping', payload.toString('latin1')]),
    onPong: () => seen.push(['pong']),
    onClose: (code) => seen.push(['close', code]),
  });
  for (const chunk of chunks) reader(chunk);
  return seen;
}

test('messages come out whole however they are cut', () => {
  const [medium, large] = ['m'.repeat(300), 'l'.repeat(70_000)];
  const bytes = Buffer.concat([
    webSocketFrame(OPCODE.binary, 'one'),
    webSocketFrame(OPCODE.text, 'tw', false),
    webSocketFrame(OPCODE.ping, 'are you there'),
    webSocketFrame(OPCODE.continuation, '', false),
    webSocketFrame(OPCODE.continuation, 'o'),
    webSocketFrame(OPCODE.binary, ''),
    webSocketFrame(OPCODE.pong, ''),
    webSocketFrame(OPCODE.binary, medium),
    webSocketFrame(OPCODE.binary, large),
    webSocketFrame(OPCODE.close, Buffer.from([0x03, 0xe8])),
    webSocketFrame(OPCODE.binary, 'after the end'),
  ]);
  const expected = [
    ['binary', 'one'],
    ['ping', 'are you there'],
    ['text', 'two'],
    ['binary', ''],
    ['pong'],
    ['binary', medium],
    ['binary', large],
    ['close', 1000],
  ];
  assert.deepEqual(read([Buffer.from(bytes)]), expected);
  for (let seed = 0; seed < 20; seed += 1) {
    const random = seeded(seed);
    assert.deepEqual(read(pieces(bytes, random, 1 + Math.floor(random() * 5000))), expected, `seed ${seed}`);
  }
});

test('data that breaks the protocol is refused with a close code', () => {
  const unmasked = Buffer.concat([frameHeader(OPCODE.binary, 1), Buffer.from('x')]);
  const huge = Buffer.from([0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const cases: [string, Buffer, number][] = [
    ['no mask', unmasked, 1002],
    ['reserved bits', Buffer.from([0xf2, 0x80, 0, 0, 0, 0]), 1002],
    ['unknown opcode', webSocketFrame(3, ''), 1002],
    ['a continuation of nothing', webSocketFrame(OPCODE.continuation, 'x'), 1002],
    ['a message in a message', Buffer.concat([webSocketFrame(2, 'x', false), webSocketFrame(2, 'y')]), 1002],
    ['a fragmented ping', webSocketFrame(OPCODE.ping, '', false), 1002],
    ['a long ping', webSocketFrame(OPCODE.ping, 'x'.repeat(126)), 1002],
    ['a close code of one byte', webSocketFrame(OPCODE.close, 'x'), 1002],
    ['an impossible length', huge, 1009],
  ];
  for (const [name, bytes, closeCode] of cases) assert.throws(() => read([bytes]), { closeCode }, name);
});

test('random bytes end in a WebSocketError or in nothing', () => {
  for (let seed = 0; seed < 5_000; seed += 1) {
    const random = seeded(seed);
    const valid = webSocketFrame(OPCODE.binary, randomBuffer(Math.floor(random() * 200), random));
    const bytes = random() < 0.5 ? randomBuffer(200, random) : Buffer.concat([valid, valid]);
    for (let flips = Math.floor(random() * 4); flips > 0; flips -= 1) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    try {
      read(pieces(bytes, random, 60));
    } catch (thrown) {
      assert.ok(thrown instanceof WebSocketError, `seed ${seed}: ${String(thrown)}`);
    }
  }
});
