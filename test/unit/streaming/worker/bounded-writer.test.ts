import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { createBoundedWriter } from '../../../../src/streaming/worker/bounded-writer.js';
import { stubLink } from './stub-link.js';

const LIMIT_BYTES = 1_000;

/** A slow target: each write completes when the test calls `finishOne`. */
function slowTarget(highWaterMark: number) {
  const done: (() => void)[] = [];
  const target = new Writable({ highWaterMark, write: (_chunk, _encoding, callback) => void done.push(callback) });
  return { target: target as unknown as Socket, finishOne: () => done.shift()?.() };
}

test('a client is paused while more than the limit is pending, whatever the high-water mark of the target', () => {
  for (const highWaterMark of [1, 10 * LIMIT_BYTES]) {
    const { link, holders } = stubLink();
    const { target, finishOne } = slowTarget(highWaterMark);
    const writer = createBoundedWriter({ link, limitBytes: () => LIMIT_BYTES, onFlushed: () => undefined });
    writer.write(Buffer.alloc(LIMIT_BYTES));
    assert.equal(holders(), 0);
    writer.write(Buffer.alloc(1));
    assert.equal(holders(), 1);
    writer.open(target);
    assert.equal(holders(), 1);
    finishOne();
    finishOne();
    assert.equal(holders(), 0, 'all that came early has left');
    writer.write(Buffer.alloc(2 * LIMIT_BYTES));
    assert.equal(holders(), 1);
    finishOne();
    assert.equal(holders(), 0, 'all that came later has left');
  }
});
