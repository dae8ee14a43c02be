import assert from 'node:assert/strict';
import { closeSync, constants, existsSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isCode } from '../../../../src/base/errors.js';
import { countFds, exited, readLog, requestIn, setUp, shell } from '../helpers.js';

const PLENTY_MS = 20_000;

test('copies both streams into the log, and knows when they have ended', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  const io = await stdio.open(request);
  const modes = [request.fifoDir, io.paths.stdout, io.paths.stderr].map((path) => statSync(path).mode & 0o7777);
  await exited(shell('exec >$OUT 2>$ERR; echo one; echo two >&2; printf "\\n"; printf "last\\r\\ntail"', io.paths));
  assert.equal(await io.drained(PLENTY_MS), true);
  const lines = readLog(request.logPath ?? '');
  assert.deepEqual(
    {
      modes,
      logMode: statSync(request.logPath ?? '').mode & 0o777,
      stdout: lines.filter((line) => line.stream === 'stdout').map((line) => `${line.tag} ${line.content}`),
      stderr: lines.filter((line) => line.stream === 'stderr').map((line) => `${line.tag} ${line.content}`),
    },
    {
      modes: [0o700, 0o600, 0o600],
      logMode: 0o640,
      stdout: ['F one', 'F ', 'F last', 'P tail'],
      stderr: ['F two'],
    },
  );
  await io.remove();
  await io.remove();
  assert.equal(existsSync(request.fifoDir), false);
});

test('cuts long lines and keeps every byte', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder, { maxLineBytes: 1000 });
  const io = await stdio.open(request);
  const script = `exec >$OUT 2>$ERR
    head -c 1000 /dev/zero; echo; head -c 1001 /dev/zero; echo; head -c 300000 /dev/zero | tr '\\0' '\\377'; echo`;
  await exited(shell(script, io.paths));
  assert.equal(await io.drained(PLENTY_MS), true);
  const lines = readLog(request.logPath ?? '').map(({ tag, content }) => ({ tag, length: content.length }));
  assert.deepEqual(lines.slice(0, 4), [
    { tag: 'F', length: 1000 },
    { tag: 'P', length: 1000 },
    { tag: 'F', length: 1 },
    { tag: 'P', length: 1000 },
  ]);
  assert.equal(
    lines.slice(3).reduce((sum, line) => sum + line.length, 0),
    300_000,
  );
});

test('an unfinished line waits for its end', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  const io = await stdio.open(request);
  await exited(shell('exec >$OUT 2>$ERR; printf a; sleep 0.1; printf b; sleep 0.1; printf "c\\nd"', io.paths));
  assert.equal(await io.drained(PLENTY_MS), true);
  assert.deepEqual(readLog(request.logPath ?? ''), [
    { stream: 'stdout', tag: 'F', content: 'abc' },
    { stream: 'stdout', tag: 'P', content: 'd' },
  ]);
});

test('rotation under a flood loses and duplicates no line', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  const log = request.logPath ?? '';
  const io = await stdio.open(request);
  const writer = shell('exec >$OUT 2>$ERR; seq 1 400000', io.paths);
  const files: string[] = [];
  for (let turn = 0; turn < 8; turn += 1) {
    await sleep(15);
    files.push(`${log}.${turn}`);
    renameSync(log, `${log}.${turn}`);
    await io.reopenLog();
  }
  await exited(writer);
  assert.equal(await io.drained(PLENTY_MS), true);
  const numbers = [...files, log].flatMap((file) => readLog(file).map((line) => Number(line.content)));
  assert.equal(numbers.length, 400_000);
  assert.ok(numbers.every((number, index) => number === index + 1));
});

test('continues where it stopped when it is closed and reattached while a shim holds the pipe', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  let io = await stdio.open(request);
  const held = [io.paths.stdout, io.paths.stderr].map((path) =>
    openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
  );
  const writer = shell(
    'exec >$OUT 2>$ERR; for i in {1..20}; do seq $((i*5000-4999)) $((i*5000)); sleep 0.02; done',
    io.paths,
  );
  for (let turn = 0; turn < 5; turn += 1) {
    await sleep(40);
    await io.close();
    await sleep(20);
    io = await stdio.reattach(request, io.paths);
  }
  await exited(writer);
  held.forEach((fd) => closeSync(fd));
  assert.equal(await io.drained(PLENTY_MS), true);
  // A line that was incomplete at a close is in two pieces.
  const pieces = readLog(request.logPath ?? '').map(({ tag, content }) => (tag === 'P' ? content : `${content}\n`));
  const numbers = pieces.join('').trimEnd().split('\n').map(Number);
  assert.equal(numbers.length, 100_000);
  assert.ok(numbers.every((number, index) => number === index + 1));
});

test('reattaching to FIFOs that are gone is NOT_FOUND', async (t) => {
  const { folder, stdio } = setUp(t);
  const paths = { stdin: '', stdout: join(folder, 'none'), stderr: '' };
  await assert.rejects(stdio.reattach(requestIn(folder), paths), (thrown) => isCode(thrown, 'NOT_FOUND'));
});

test('a stream without a writer ends when it is drained; a running one does not', async (t) => {
  const { folder, stdio } = setUp(t);
  const idle = await stdio.open(requestIn(folder));
  assert.equal(await idle.drained(PLENTY_MS), true);
  const busy = await stdio.open(requestIn(folder, { containerId: 'c2', terminal: true }));
  const writer = shell('exec >$OUT; echo up; sleep 30', busy.paths);
  while (!existsSync(busy.paths.stdout) || readLog(join(folder, 'logs', 'c1.log')).length === 0) await sleep(5);
  assert.equal(await busy.drained(50), false);
  writer.kill();
  assert.equal(await busy.drained(PLENTY_MS), true);
  assert.deepEqual({ stdin: busy.paths.stdin, stderr: busy.paths.stderr }, { stdin: '', stderr: '' });
});

test('a deleted log directory is created again; the container is never delayed', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  const io = await stdio.open(request);
  const writer = shell('exec >$OUT 2>$ERR; for i in {1..30}; do seq 1 20000; sleep 0.05; done; echo end', io.paths);
  await sleep(50);
  rmSync(join(folder, 'logs'), { recursive: true });
  await exited(writer);
  assert.equal(await io.drained(PLENTY_MS), true);
  assert.equal(readLog(request.logPath ?? '').at(-1)?.content, 'end');
});

test('a log that cannot be written is dropped, and the container runs to its end', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder));
  rmSync(join(folder, 'logs'), { recursive: true });
  writeFileSync(join(folder, 'logs'), 'a file in place of the directory');
  await exited(shell('exec >$OUT 2>$ERR; seq 1 500000', io.paths));
  assert.equal(await io.drained(PLENTY_MS), true);
});

test('without a log path the streams are drained', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder, { logPath: undefined }));
  await exited(shell('exec >$OUT 2>$ERR; head -c 20000000 /dev/zero', io.paths));
  assert.equal(await io.drained(PLENTY_MS), true);
});

test('stdin is a FIFO that is created and not opened', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder, { stdin: true }));
  assert.deepEqual(
    { isFifo: statSync(io.paths.stdin).isFIFO(), mode: statSync(io.paths.stdin).mode & 0o777 },
    { isFifo: true, mode: 0o600 },
  );
  await io.remove();
});

test('descriptors are back at the baseline', async (t) => {
  const { folder, stdio } = setUp(t);
  const once = async (): Promise<void> => {
    const io = await stdio.open(requestIn(folder));
    await exited(shell('exec >$OUT 2>$ERR; echo x', io.paths));
    await io.drained(PLENTY_MS);
    await io.remove();
  };
  await once();
  const before = countFds();
  for (let turn = 0; turn < 20; turn += 1) await once();
  assert.equal(countFds(), before);
});
