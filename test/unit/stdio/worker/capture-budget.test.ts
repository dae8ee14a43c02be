import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { makeFifo } from '../../../../src/host/pipe/fifo.js';
import type { Notice } from '../../../../src/stdio/shared/copy-messages.js';
import { createCaptureBudget, OWN_BYTES } from '../../../../src/stdio/worker/capture-budget.js';
import { createCopies } from '../../../../src/stdio/worker/copies.js';
import type { Readiness } from '../../../../src/stdio/worker/readiness.js';
import { exited, shell, uncounted } from '../helpers.js';

const MAX_BYTES = 2 * OWN_BYTES;

test('memory is used up to the limit, and the command that has waited longest may exceed it', () => {
  const budget = createCaptureBudget(100, 40);
  const [first, second, third] = [budget.join(), budget.join(), budget.join()];
  let woken = 0;
  const taken = [first.take(30), second.take(30), second.take(1), third.take(1), first.take(40), first.take(1)];
  third.whenRoom(() => (woken += 1));
  first.leave();
  first.leave();
  assert.deepEqual(
    [taken, woken, second.take(70), second.take(1), third.take(1)],
    [[true, true, false, false, true, false], 1, true, false, false],
  );
  second.leave();
  assert.deepEqual([third.take(100), third.take(1)], [true, false]);
});

/** Captures of commands that have written `MAX_BYTES`. The test decides when streams are read and time passes. */
function lab(t: TestContext, count: number) {
  const folder = mkdtempSync(join(tmpdir(), 'crid-budget-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const readable = new Set<() => void>();
  const delayed = new Set<() => void>();
  const held = (set: Set<() => void>, work: () => void): (() => void) => {
    set.add(work);
    return () => void set.delete(work);
  };
  const readiness: Readiness = {
    watch: (_fd, onReadable) => held(readable, onReadable),
    watchRoom: () => () => undefined,
    after: (_delayMs, work) => held(delayed, work),
    turn: () => undefined,
  };
  const notices: Notice[] = [];
  // Enough for two captures besides the one that may always proceed.
  const budget = createCaptureBudget(3 * OWN_BYTES, OWN_BYTES);
  const copies = createCopies(readiness, uncounted(), (notice) => notices.push(notice), budget);
  t.after(() => copies.close());
  const open = async (io: number): Promise<void> => {
    const path = join(folder, `out-${io}`);
    makeFifo(path, 0o600);
    copies.obey({ kind: 'capture', request: io, io, streams: [{ name: 'stdout', path }], maxBytes: MAX_BYTES });
    await exited(shell(`head -c ${MAX_BYTES} /dev/zero >$OUT`, { stdout: path, stderr: path }));
  };
  return {
    copies,
    ready: (async () => {
      for (let io = 1; io <= count; io += 1) await open(io);
    })(),
    read() {
      for (let turn = 0; turn < 10; turn += 1) for (const onReadable of [...readable]) onReadable();
    },
    passTime: () => delayed.forEach((work) => work()),
    ended: () =>
      notices.flatMap((notice): unknown[][] => {
        if (notice.kind === 'captured') return [[notice.io, notice.stdout.length, notice.truncated]];
        return notice.kind === 'capture-failed' ? [[notice.io, notice.code]] : [];
      }),
  };
}

test('output beyond the budget of all commands waits until one command has its response', async (t) => {
  const { copies, ready, read, ended } = lab(t, 3);
  await ready;
  read();
  const before = ended();
  copies.obey({ kind: 'close', request: 4, io: 1 });
  read();
  assert.deepEqual(
    [before, ended().slice(2)],
    [
      [
        [1, MAX_BYTES, false],
        [2, MAX_BYTES, false],
      ],
      [[3, MAX_BYTES, false]],
    ],
  );
});

test('a command that waits too long fails by itself, also when it has exited', async (t) => {
  const { copies, ready, read, passTime, ended } = lab(t, 3);
  await ready;
  read();
  copies.obey({ kind: 'finish-capture', request: 5, io: 3, now: false });
  const before = ended().length;
  passTime();
  assert.deepEqual([before, ended().slice(2)], [2, [[3, 'RESOURCE_EXHAUSTED']]]);
});

test('a waiting command ends at once when its call has ended', async (t) => {
  const { copies, ready, read, ended } = lab(t, 3);
  await ready;
  read();
  copies.obey({ kind: 'finish-capture', request: 5, io: 3, now: true });
  assert.deepEqual(ended().slice(2), [[3, OWN_BYTES, false]]);
});
