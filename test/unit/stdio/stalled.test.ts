import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { collectWaits, type Waits } from '../../../src/base/waits.js';
import { makeFifo } from '../../../src/host/pipe/fifo.js';
import type { ContainerIo } from '../../../src/stdio/stdio.js';
import { until } from '../../../tools/stack/wait.js';
import { mountHung, type HungMount } from '../../harness/hung-mount.js';
import { makeStallingDisk, type StallingDisk } from '../../harness/stalled-disk.js';
import { exited, readLog, requestIn, setUp, shell } from './helpers.js';

/** Logs on file systems that do not respond, beside logs and commands that do not use them. */

const PLENTY_MS = 20_000;
const LINES = 300_000;
/** The time limit of a test. If the code under test is broken, writers block for ever. */
const LIMIT_MS = 60_000;

/** A folder that is removed after `unmount`. */
function mountFolder(t: TestContext, unmount: () => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'crid-stalled-'));
  t.after(() => {
    unmount();
    rmSync(folder, { recursive: true });
  });
  return folder;
}

function setUpWithDisk(t: TestContext) {
  const disk: StallingDisk = makeStallingDisk(mountFolder(t, () => disk.remove()));
  return { ...setUp(t), disk };
}

const numbersIn = (log: string): number[] => readLog(log).map(({ content }) => Number(content));
const isWhole = (numbers: readonly number[], count: number): boolean =>
  numbers.length === count && numbers.every((number, index) => number === index + 1);

test(
  'a log directory that never answers fails the open that needs it, and holds up no other',
  { timeout: LIMIT_MS },
  async (t) => {
    const mount: HungMount = mountHung(mountFolder(t, () => mount.release()));
    const { folder, stdio } = setUp(t);
    const hung = mount.path;

    const late = new AbortController();
    let waits: Waits | undefined;
    const request = requestIn(folder, { fifoDir: join(folder, 'hung-io'), logPath: join(hung, 'pod', 'c1.log') });
    const opening = collectWaits(
      () => stdio.open(request, late.signal),
      (all) => (waits = all),
    );
    const other = requestIn(folder, { containerId: 'c2' });
    const io = await stdio.open(other);
    const capture = await stdio.capture({ fifoDir: join(folder, 'exec'), name: 'e1', maxBytes: 1024 });
    await exited(shell(`exec >$OUT 2>$ERR; seq 1 ${LINES}`, io.paths));
    await exited(shell('exec >$OUT 2>$ERR; echo alive', capture.paths));
    capture.stop(0);
    const { stdout } = await capture.output;
    assert.deepEqual(
      [await io.drained(PLENTY_MS), Buffer.from(stdout).toString(), waits?.describe()],
      [true, 'alive\n', `log "${request.logPath}" to be opened`],
    );
    assert.ok(isWhole(numbersIn(other.logPath ?? ''), LINES));

    late.abort(new Error('no longer waited for'));
    await assert.rejects(opening, /no longer waited for/);
    assert.equal(existsSync(request.fifoDir), false);
    while (stdio.stalledLogs() === 0) await sleep(50);
    await Promise.all([io.remove(), capture.remove()]);
  },
);

test(
  'a disk that hangs delays only the logs on it, which are named, and loses nothing',
  { timeout: LIMIT_MS },
  async (t) => {
    const { folder, stdio, disk } = setUpWithDisk(t);
    const onDisk = requestIn(folder, { logPath: join(disk.path, 'c1.log') });
    const beside = requestIn(folder, { containerId: 'c2', fifoDir: join(folder, 'io2') });
    const ios: ContainerIo[] = [await stdio.open(onDisk), await stdio.open(beside)];
    const [held, free] = ios as [ContainerIo, ContainerIo];
    disk.stall();
    const writer = shell(`exec >$OUT 2>$ERR; seq 1 ${LINES}`, held.paths);
    await exited(shell(`exec >$OUT 2>$ERR; seq 1 ${LINES}`, free.paths));
    assert.deepEqual([await free.drained(PLENTY_MS), await held.drained(10)], [true, false]);

    while (stdio.stalledLogs() === 0) await sleep(50);
    const unavailable = { code: 'UNAVAILABLE', message: `log "${onDisk.logPath}" has not answered for 5 s` };
    await assert.rejects(held.reopenLog(), unavailable);
    await assert.rejects(held.attach({ stdout: '/proc/self/fd/1' }), unavailable);
    await free.reopenLog();

    disk.goOn();
    await exited(writer);
    assert.equal(await held.drained(PLENTY_MS), true);
    assert.deepEqual(
      [onDisk, beside].map(({ logPath }) => isWhole(numbersIn(logPath ?? ''), LINES)),
      [true, true],
    );
    assert.equal(stdio.stalledLogs(), 0);
    for (const io of ios) await io.remove();
  },
);

test(
  'a container whose log does not answer is removed all the same, and its log ends when it does',
  { timeout: LIMIT_MS },
  async (t) => {
    const { folder, stdio, disk } = setUpWithDisk(t);
    const request = requestIn(folder, { logPath: join(disk.path, 'c1.log') });
    const io = await stdio.open(request);
    disk.stall();
    await exited(shell('exec >$OUT 2>$ERR; seq 1 1000', io.paths));
    await io.remove();
    assert.equal(existsSync(request.fifoDir), false);
    disk.goOn();
    // Until the last line is whole, the log cannot be read.
    await until('the log is whole', LIMIT_MS / 2, () => isWhole(numbersIn(request.logPath ?? ''), 1000) || undefined);
  },
);

test(
  'a server whose log does not answer goes on without it, and ends when it is stopped',
  { timeout: LIMIT_MS },
  async (t) => {
    const mount: HungMount = mountHung(mountFolder(t, () => mount.release()));
    const { folder } = setUp(t);
    const [stdout, stderr] = [join(folder, 'out'), join(folder, 'err')];
    for (const fifo of [stdout, stderr]) makeFifo(fifo, 0o600);
    const program = fileURLToPath(new URL('./stopping-process.js', import.meta.url));
    const server = spawn(process.execPath, [program, join(mount.path, 'c1.log'), stdout, stderr], { stdio: 'ignore' });
    t.after(() => server.kill('SIGKILL'));
    await exited(server);
    assert.equal(server.exitCode, 7);
  },
);
