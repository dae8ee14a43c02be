import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exited, readLog, requestIn, setUp, shell } from './helpers.js';

const PLENTY_MS = 20_000;
const COUNT = 300_000;

const numbersIn = (log: string): number[] => readLog(log).map(({ content }) => Number(content));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

// Space that was reserved at the start holds small batches. Without reserved space they are kept in memory.
for (const when of ['before', 'after'] as const) {
  test(`a FIFO directory that is full ${when} the start: no line is lost`, async (t) => {
    const { folder, stdio } = setUp(t);
    const request = requestIn(folder);
    mkdirSync(request.fifoDir);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', request.fifoDir]);
    const fill = (): void =>
      assert.throws(() => writeFileSync(join(request.fifoDir, 'ballast'), Buffer.alloc(128 * 1024)), {
        code: 'ENOSPC',
      });
    try {
      if (when === 'before') fill();
      const io = await stdio.open(request);
      if (when === 'after') fill();
      await exited(shell(`exec >$OUT 2>$ERR; seq 1 ${COUNT}; printf "unfini" >&2; sleep 0.1; echo shed >&2`, io.paths));
      assert.equal(await io.drained(PLENTY_MS), true);
      await io.close();
    } finally {
      execFileSync('umount', ['-l', request.fifoDir]);
    }
    const lines = readLog(request.logPath ?? '');
    const of = (name: string): string[] => lines.filter(({ stream }) => stream === name).map(({ content }) => content);
    assert.deepEqual([of('stdout').map(Number), of('stderr')], [upTo(COUNT), ['unfinished']]);
  });
}

test('the spool is removed with the FIFOs, and does not exist without a log', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  const io = await stdio.open(request);
  await exited(shell(`exec >$OUT 2>$ERR; seq 1 ${COUNT}`, io.paths));
  assert.equal(await io.drained(PLENTY_MS), true);
  assert.deepEqual(numbersIn(request.logPath ?? ''), upTo(COUNT));
  assert.deepEqual(readdirSync(request.fifoDir).sort(), [
    'c1-stderr',
    'c1-stderr.taken',
    'c1-stdout',
    'c1-stdout.taken',
  ]);
  await io.remove();
  assert.equal(existsSync(request.fifoDir), false);
  const without = await stdio.open({ ...request, logPath: undefined });
  assert.deepEqual(readdirSync(request.fifoDir).sort(), ['c1-stderr', 'c1-stdout']);
  await without.remove();
});
