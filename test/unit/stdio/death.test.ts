import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeFifo } from '../../../src/host/fifo.js';
import { exited, readLog, requestIn, setUp, shell } from './helpers.js';

const NUMBERS = 'exec >$OUT 2>$ERR; for i in {1..60}; do seq $((i*500-499)) $((i*500)); sleep 0.02; done';
const LAST = 30_000;

/** The read ends that a shim holds while nobody else reads. */
const hold = (paths: { stdout: string; stderr: string }): number[] =>
  [paths.stdout, paths.stderr].map((path) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));

test('a copying thread that dies is replaced, and goes on in every container', async (t) => {
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
  // The shim holds its ends until the container is deleted: what is in the pipes must not go while nobody else reads.
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

test('a server that is killed at any time loses no line', async (t) => {
  const { folder } = setUp(t);
  mkdirSync(join(folder, 'logs'));
  const [log, stdout, stderr] = ['logs/c.log', 'out', 'err'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [stdout, stderr]) makeFifo(path, 0o600);
  const held = hold({ stdout, stderr });
  const start = (mode: string): ChildProcess =>
    spawn(
      process.execPath,
      [fileURLToPath(new URL('./copying-process.js', import.meta.url)), log, stdout, stderr, mode],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
  const writer = shell(NUMBERS, { stdout, stderr });
  for (let turn = 0; turn < 5; turn += 1) {
    const server = start('open');
    if (server.stdout) await once(server.stdout, 'data');
    await sleep(30 + turn * 13);
    server.kill('SIGKILL');
    await exited(server);
  }
  const last = start('drain');
  // Until it reads, what is in the pipes is there only because somebody holds them.
  if (last.stdout) await once(last.stdout, 'data');
  await exited(writer);
  held.forEach((fd) => closeSync(fd));
  await exited(last);
  const seen = new Set(readLog(log).map((line) => Number(line.content)));
  assert.deepEqual([last.exitCode, seen.size, seen.has(1), seen.has(LAST)], [0, LAST, true, true]);
});
