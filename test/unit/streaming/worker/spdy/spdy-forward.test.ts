import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSpdyForward } from '../../../../../src/streaming/worker/spdy/spdy-forward.js';
import { CONTROL, createSpdyFrameReader } from '../../../../../src/streaming/worker/spdy/spdy-frames.js';
import { firstHeaderBlock, plainHeaders, synStream } from '../../../../harness/streaming/wire.js';
import { stubLink } from '../stub-link.js';

/** Opens one stream with this request id. Returns the types of the frames that come back. */
function openStream(requestid: string) {
  const { link, sent } = stubLink();
  const ports: number[] = [];
  const transport = createSpdyForward(link, {
    add({ port }) {
      ports.push(port);
      return { write: () => undefined, end: () => undefined, destroy: () => undefined, start: () => undefined };
    },
  });
  const types: number[] = [];
  const send = (): void => {
    try {
      transport.receive(synStream(1, firstHeaderBlock(plainHeaders({ streamtype: 'data', port: '80', requestid }))));
    } finally {
      const read = createSpdyFrameReader({ onData: () => undefined, onControl: (type) => void types.push(type) });
      read(Buffer.concat(sent));
    }
  };
  return { send, types, ports };
}

test('the id of a pair is kept, so its length is limited', () => {
  const good = openStream('x'.repeat(256));
  good.send();
  assert.deepEqual([good.ports, good.types], [[80], [CONTROL.synReply]]);
  const bad = openStream('x'.repeat(257));
  assert.throws(bad.send, /requestID of more than 256/);
  assert.deepEqual([bad.ports, bad.types], [[], [CONTROL.goAway]]);
});
