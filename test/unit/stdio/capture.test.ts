import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFifo } from '../../../src/host/pipe/fifo.js';
import { createCaptureBudget } from '../../../src/stdio/worker/capture-budget.js';
import { startCaptureCopy } from '../../../src/stdio/worker/capture-copy.js';
import { countFds, exited, setUp, shell } from './helpers.js';

const LIMIT_BYTES = 1024 * 1024;

test('captures both streams to the byte', async (t) => {
  const { folder, stdio } = setUp(t);
  const capture = await stdio.capture({ fifoDir: join(folder, 'exec'), name: 'e1', maxBytes: LIMIT_BYTES });
  await exited(shell('exec >$OUT 2>$ERR; printf "out\\n\\377"; printf err >&2', capture.paths));
  capture.stop(0);
  const { stdout, stderr, truncated } = await capture.output;
  assert.deepEqual(
    { stdout: Buffer.from(stdout).toString('latin1'), stderr: Buffer.from(stderr).toString('latin1'), truncated },
    { stdout: 'out\n\xff', stderr: 'err', truncated: false },
  );
  await capture.remove();
  assert.equal(existsSync(join(folder, 'exec')), false);
});

test('drops what exceeds the limit and lets the process run to its end', async (t) => {
  const { folder, stdio } = setUp(t);
  const capture = await stdio.capture({ fifoDir: join(folder, 'exec'), name: 'e1', maxBytes: LIMIT_BYTES });
  await exited(shell('exec >$OUT 2>$ERR; yes | head -c 50000000; yes e | head -c 1000 >&2', capture.paths));
  const { stdout, stderr, truncated } = await capture.output;
  assert.deepEqual([stdout.length, stderr.length, truncated], [LIMIT_BYTES, 1000, true]);
  assert.equal(Buffer.from(stdout).equals(Buffer.from('y\n'.repeat(LIMIT_BYTES / 2))), true);
  await capture.remove();
});

test('a child that keeps the pipe open does not delay the output for ever', async (t) => {
  const { folder, stdio } = setUp(t);
  const capture = await stdio.capture({ fifoDir: join(folder, 'exec'), name: 'e1', maxBytes: LIMIT_BYTES });
  const writer = shell('exec >$OUT 2>$ERR; echo answer; exec sleep 60', capture.paths);
  t.after(() => writer.kill());
  const settled = await Promise.race([capture.output.then(() => true), new Promise((r) => setTimeout(r, 200, false))]);
  capture.stop(50);
  const { stdout } = await capture.output;
  assert.deepEqual([settled, Buffer.from(stdout).toString()], [false, 'answer\n']);
  await capture.remove();
});

test('at its end a capture takes the output that was not read yet', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'crid-capture-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'fifo');
  makeFifo(path, 0o600);
  const never = (): (() => void) => () => undefined;
  const busy = { watch: never, watchRoom: never, after: never, turn: () => undefined };
  const copy = startCaptureCopy({
    path,
    readiness: busy,
    maxBytes: 2 * LIMIT_BYTES,
    share: createCaptureBudget().join(),
    onWait: () => undefined,
    onEnd: () => undefined,
  });
  await exited(shell('head -c 1000000 /dev/zero >$OUT', { stdout: path, stderr: path }));
  copy.takeRest();
  copy.close();
  copy.takeRest();
  assert.deepEqual([copy.bytes.length, copy.truncated], [1_000_000, false]);
});

test('an exec that never started leaves nothing behind', async (t) => {
  const { folder, stdio } = setUp(t);
  const once = async (): Promise<void> => {
    const capture = await stdio.capture({ fifoDir: join(folder, 'exec'), name: 'e1', maxBytes: LIMIT_BYTES });
    await capture.remove();
    await capture.remove();
    await capture.output;
  };
  await once();
  const before = countFds();
  for (let turn = 0; turn < 50; turn += 1) await once();
  assert.deepEqual([countFds(), existsSync(join(folder, 'exec'))], [before, false]);
});
