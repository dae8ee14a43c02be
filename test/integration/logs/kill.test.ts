import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killWhileWriting } from '../../harness/kill-while-writing.js';
import { startSuite } from '../rpc/suite.js';

/** A short version of `make soak-logs`, without its measurements. */

const suite = startSuite();

for (const [name, bytesPerSecond] of [
  ['1 MB/s', 1_000_000],
  ['as fast as it can', 0],
] as const) {
  test(`kill -9 of crid while a container writes ${name}: every line once, in order`, async () => {
    const { lines } = await killWhileWriting(suite.crid, suite.stack, { kills: 4, bytesPerSecond });
    assert.ok(lines > 1000);
  });
}
