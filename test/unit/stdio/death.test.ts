import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeFifo, setPipeSize } from '../../../src/host/pipe/fifo.js';
import { errnoName } from '../../../src/host/syscall/errno.js';
import { exited, readLog, requestIn, setUp, shell } from './helpers.js';

const NUMBERS = 'exec >$OUT 2>$ERR; for i in {1..60}; do seq $((i*500-499)) $((i*500)); sleep 0.02; done';
const LAST = 30_000;

/** Opens the read ends that a shim keeps open, without reading them. */
const hold = (paths: { stdout: string; stderr: string }): number[] =>
  [paths.stdout, paths.stderr].map((path) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));

test('a copying thread that dies is replaced, and continues for every container', async (t) => {
  const { folder, stdio } = setUp(t, new URL('./dying-worker.js', import.meta.url));
  const ios = await Promise.all(
    ['a', 'b'].map((containerId) =>
      stdio.open(
        requestIn(folder, {
          containerId,
          fifoDir: join(folder, containerId),
          logPath: join(folder, `${containerId}.log`),
        }),
      ),
    ),
  );
  const held = ios.flatMap((io) => hold(io.paths));
  await Promise.all(ios.map((io) => exited(shell(NUMBERS, io.paths))));
  // The shim keeps its ends open until the container is deleted, so that the pipes keep their data while crid does not
  // read.
  const drained = await Promise.all(ios.map((io) => io.drained(20_000)));
  held.forEach((fd) => closeSync(fd));
  const logs = ios.map((io) => readLog(join(folder, `${io.containerId}.log`)).map((line) => Number(line.content)));
  const expected = Array.from({ length: LAST }, (_, index) => index + 1);
  assert.deepEqual(
    [drained, logs],
    [
      [true, true],
      [expected, expected],
    ],
  );
});

test('a copying thread opens and closes logs without a warning of Node.js', async (t) => {
  const { folder } = setUp(t);
  const server = startServer(filesIn(folder), 'drain', undefined, 'pipe');
  let said = '';
  server.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(server, 'close')) as [number];
  assert.deepEqual([said, code], ['', 0]);
});

test('a copying thread that dies twice while a container ends leaves no rejection without an owner', async (t) => {
  const { folder, stdio } = setUp(t, new URL('./dying-at-hurry.js', import.meta.url));
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  t.after(() => process.off('unhandledRejection', onUnhandled));
  const io = await stdio.open(requestIn(folder));
  const held = hold(io.paths);
  const writer = shell('exec >$OUT 2>$ERR; sleep 0.1; echo last', io.paths);
  await exited(writer);
  const drained = await io.drained(20_000);
  await io.remove();
  held.forEach((fd) => closeSync(fd));
  assert.deepEqual(
    [drained, readLog(join(folder, 'logs', 'c1.log')).map(({ content }) => content), unhandled],
    [true, ['last'], []],
  );
});

test('a server that is killed at any time loses and duplicates no line', async (t) => {
  const files = filesIn(setUp(t).folder);
  const held = hold(files);
  const writer = shell(NUMBERS, files);
  for (let turn = 0; turn < 5; turn += 1) {
    const server = startServer(files, 'open');
    if (server.stdout) await once(server.stdout, 'data');
    await sleep(30 + turn * 13);
    server.kill('SIGKILL');
    await exited(server);
  }
  const last = startServer(files, 'drain');
  // Until the server reads, the pipes keep their data only because `held` are open.
  if (last.stdout) await once(last.stdout, 'data');
  await exited(writer);
  held.forEach((fd) => closeSync(fd));
  await exited(last);
  assert.equal(last.exitCode, 0);
  assertNumbers(files.log, LAST);
});

test('a kill before any call loses and duplicates no line, also when the log is rotated before the next start', async (t) => {
  const files = filesIn(setUp(t).folder);
  const held = hold(files);
  const pipe = openSync(files.stdout, constants.O_RDWR | constants.O_NONBLOCK);
  setPipeSize(pipe, 1024 * 1024);
  const logs: string[] = [];
  let last = 0;
  // A start makes a dozen calls, and a batch of 64 KiB makes nine.
  for (let killAt = 1; killAt <= 36; killAt += 1) {
    last = fill(pipe, last, 600_000);
    const server = startServer(files, 'open', killAt);
    await exited(server);
    assert.equal(server.signalCode, 'SIGKILL');
    if (killAt % 3 !== 0 || !existsSync(files.log)) continue;
    logs.push(`${files.log}.${killAt}`);
    renameSync(files.log, `${files.log}.${killAt}`);
  }
  const server = startServer(files, 'drain');
  if (server.stdout) await once(server.stdout, 'data');
  [...held, pipe].forEach((fd) => closeSync(fd));
  await exited(server);
  const numbers = [...logs, files.log].flatMap((file) => readLog(file).map((line) => parseInt(line.content)));
  const wrong = numbers.findIndex((number, index) => number !== index + 1);
  assert.deepEqual(
    [wrong === -1 ? 'in order' : numbers.slice(wrong - 2, wrong + 3), numbers.length],
    ['in order', last],
  );
});

interface Files {
  readonly log: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Creates the FIFOs of a container, and the folder of its log. */
function filesIn(folder: string): Files {
  mkdirSync(join(folder, 'logs'));
  const files = { log: join(folder, 'logs', 'c.log'), stdout: join(folder, 'out'), stderr: join(folder, 'err') };
  for (const path of [files.stdout, files.stderr]) makeFifo(path, 0o600);
  return files;
}

const startServer = (
  { log, stdout, stderr }: Files,
  mode: 'open' | 'drain',
  killAt?: number,
  errors: 'inherit' | 'pipe' = 'inherit',
): ChildProcess =>
  spawn(
    process.execPath,
    [fileURLToPath(new URL('./copying-process.js', import.meta.url)), log, stdout, stderr, mode],
    {
      stdio: ['ignore', 'pipe', errors],
      env: { ...process.env, ...(killAt === undefined ? {} : { CRID_TEST_KILL_AT: String(killAt) }) },
    },
  );

/** Writes numbered lines until the pipe has taken `bytes` more or is full. Returns the last number. */
function fill(pipe: number, last: number, bytes: number): number {
  let number = last;
  for (let left = bytes; left > 0;) {
    const line = Buffer.from(`${number + 1} ${'x'.repeat(90)}\n`);
    try {
      writeSync(pipe, line);
    } catch (thrown) {
      if (errnoName(thrown) === 'EAGAIN') break;
      throw thrown;
    }
    number += 1;
    left -= line.length;
  }
  return number;
}

function assertNumbers(log: string, count: number): void {
  const numbers = readLog(log).map((line) => Number(line.content));
  assert.equal(numbers.length, count);
  assert.ok(numbers.every((number, index) => number === index + 1));
}
