import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createChannels } from '../../../../../src/streaming/worker/websocket/websocket-channels.js';
import { OPCODE } from '../../../../../src/streaming/worker/websocket/websocket-frames.js';
import { until } from '../../../../../tools/stack/wait.js';
import { webSocketFrame } from '../../../../harness/streaming/wire.js';
import { stubLink } from '../stub-link.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const MIB = 1024 * 1024;
const FREED_WITHIN_MS = 5_000;

function openChannels() {
  const { link, sent } = stubLink();
  const received: [number, string][] = [];
  const channels = createChannels({
    link,
    base64: true,
    endSignal: false,
    onData: (channel, bytes) => void received.push([channel, bytes.toString()]),
    onEnd: () => undefined,
  });
  return { channels, sent, received };
}

/** Returns the used bytes of the heap and of buffers after a garbage collection. */
function inUse(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('base64: one character names a channel, also one above 9', () => {
  const { channels, sent, received } = openChannels();
  for (const [channel, name] of [
    [9, '9'],
    [10, ':'],
    [31, 'O'],
  ] as const) {
    const message = `${name}${Buffer.from('bytes').toString('base64')}`;
    channels.send(channel, Buffer.from('bytes'));
    assert.equal(Buffer.concat(sent.splice(0)).subarray(2).toString(), message);
    channels.receive(webSocketFrame(OPCODE.text, message));
    assert.deepEqual(received.pop(), [channel, 'bytes']);
  }
});

test('base64: a message in many empty or small pieces uses no memory', async () => {
  const { channels, received } = openChannels();
  const empty = Buffer.concat(Array.from({ length: 10_000 }, () => webSocketFrame(OPCODE.continuation, '', false)));
  const pong = webSocketFrame(OPCODE.pong, 'x'.repeat(125));
  const filler = Array.from({ length: 500 }, () => pong);
  const little = Buffer.concat([...filler, webSocketFrame(OPCODE.continuation, 'eHh4', false)]);
  channels.receive(webSocketFrame(OPCODE.text, '0', false));
  const before = inUse();
  for (let count = 0; count < 100; count += 1) channels.receive(Buffer.from(empty));
  for (let count = 0; count < 200; count += 1) channels.receive(Buffer.from(little));
  // V8 frees buffers on another thread after the collection.
  await until('the memory is free again', FREED_WITHIN_MS, () => (inUse() - before < 2 * MIB ? true : undefined));
  channels.receive(webSocketFrame(OPCODE.continuation, ''));
  assert.deepEqual(received, [[0, 'xxx'.repeat(200)]]);
});
