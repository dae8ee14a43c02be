import assert from 'node:assert/strict';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerIo } from '../../../src/stdio/stdio.js';
import { exited, readLog, requestIn, setUp, shell } from './helpers.js';

const CONTAINERS = 1000;
const ROUNDS = 5;
const FAST_LINES = 2_000_000;
const PLENTY_MS = 60_000;

test(`${CONTAINERS} slow streams beside a fast one`, async (t) => {
  const { folder, stdio } = setUp(t);
  const open = (containerId: string): Promise<ContainerIo> =>
    stdio.open(
      requestIn(folder, {
        containerId,
        fifoDir: join(folder, containerId),
        logPath: join(folder, `${containerId}.log`),
        terminal: true,
      }),
    );
  const fast = await open('fast');
  const ios = await Promise.all(Array.from({ length: CONTAINERS }, (_, index) => open(`slow-${index}`)));
  const writers = ios.map((io) => openSync(io.paths.stdout, constants.O_WRONLY | constants.O_NONBLOCK));
  const flood = shell(`exec >$OUT; seq 1 ${FAST_LINES}`, fast.paths);
  for (let round = 1; round <= ROUNDS; round += 1) {
    // Writes each line in two parts, so that all streams have an incomplete line at the same time.
    for (const fd of writers) writeSync(fd, `line ${round} of `);
    await sleep(20);
    writers.forEach((fd, index) => writeSync(fd, `${index}\n`));
  }
  await exited(flood);
  writers.forEach((fd) => closeSync(fd));
  const drained = await Promise.all([fast, ...ios].map((io) => io.drained(PLENTY_MS)));
  assert.ok(drained.every(Boolean));
  const expected = (index: number): string[] =>
    Array.from({ length: ROUNDS }, (_, round) => `F line ${round + 1} of ${index}`);
  ios.forEach((io, index) => {
    const lines = readLog(join(folder, `${io.containerId}.log`)).map(({ tag, content }) => `${tag} ${content}`);
    assert.deepEqual(lines, expected(index));
  });
  const numbers = readLog(join(folder, 'fast.log')).map(({ content }) => Number(content));
  assert.equal(numbers.length, FAST_LINES);
  assert.ok(numbers.every((number, index) => number === index + 1));
  await Promise.all([fast, ...ios].map((io) => io.remove()));
});
