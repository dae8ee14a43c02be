import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makePipe } from '../../../src/host/pipe/pipe.js';
import type { ContainerIo } from '../../../src/stdio/stdio.js';
import { countFds, exited, readLog, requestIn, setUp, shell } from './helpers.js';

/** The time after which crid detaches a client that does not read. */
const STALLED_MS = 30_000;

interface Attached {
  readonly reader: Socket;
  /** Returns everything that has arrived. */
  text(): string;
  /** Resolves when the pipe has ended. */
  readonly ended: Promise<unknown>;
  detach(): Promise<void>;
}

async function attach(t: TestContext, io: ContainerIo, stream: 'stdout' | 'stderr' = 'stdout'): Promise<Attached> {
  const pipe = makePipe(64 * 1024);
  const reader = new Socket({
    fd: openSync(pipe.readPath, constants.O_RDONLY | constants.O_NONBLOCK),
    writable: false,
  });
  const chunks: Buffer[] = [];
  const detach = await io.attach({ [stream]: pipe.writePath });
  pipe.close();
  t.after(() => reader.destroy());
  reader.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { reader, text: () => Buffer.concat(chunks).toString(), ended: once(reader, 'close'), detach };
}

/** Resolves when the value has not changed for 300 ms. */
async function standsStill(value: () => number): Promise<void> {
  for (let last = Number.NaN; value() !== last; await sleep(300)) last = value();
}

test('each attached client gets every byte of its stream, at once and in order', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder));
  // A container keeps its streams open all the time.
  const held = [io.paths.stdout, io.paths.stderr].map((path) => openSync(path, constants.O_RDWR));
  const all = await Promise.all([attach(t, io), attach(t, io), attach(t, io, 'stderr')]);
  await exited(shell('printf "no newline" >$OUT; printf err >$ERR', io.paths));
  await until(() => all.every((one) => one.text().length >= 3) && all[0].text().length === 10);
  await exited(shell('seq 100000 >$OUT', io.paths));
  const expected = `no newline${Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join('')}`;
  await until(() => all[0].text().length === expected.length && all[1].text().length === expected.length);
  assert.deepEqual([all[0].text() === expected, all[1].text() === expected, all[2].text()], [true, true, 'err']);
  for (const fd of held) closeSync(fd);
  await Promise.all(all.map((one) => one.ended));
});

test('a client that does not read pauses the stream, loses nothing, and pauses it no more once detached', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder));
  const [slow, other] = [await attach(t, io), await attach(t, io)];
  slow.reader.pause();
  const writer = shell('seq 1000000 >$OUT', io.paths);
  await until(() => other.text().length > 100_000);
  await standsStill(() => other.text().length);
  assert.equal(writer.exitCode, null, 'the stream waits for the slow one');
  await slow.detach();
  await exited(writer);
  slow.reader.resume();
  await Promise.all([slow.ended, other.ended]);
  assert.ok(other.text().endsWith('\n999999\n1000000\n'));
  assert.ok(other.text().startsWith(slow.text()));
});

test('once a container has ended, its log does not wait for attached clients, and they get the end too', async (t) => {
  const { folder, stdio } = setUp(t);
  const request = requestIn(folder);
  const io = await stdio.open(request);
  const stalled = await attach(t, io);
  stalled.reader.pause();
  await exited(shell('seq 150000 >$OUT', io.paths));
  assert.equal(await io.drained(STALLED_MS / 2), true);
  assert.deepEqual(readLog(request.logPath!).at(-1)?.content, '150000');
  await io.remove();
  stalled.reader.resume();
  await stalled.ended;
  assert.ok(stalled.text().endsWith('\n149999\n150000\n'));
});

test('a reader that leaves does not pause the stream', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder));
  const [leaver, other] = [await attach(t, io), await attach(t, io)];
  leaver.reader.pause();
  const writer = shell('seq 300000 >$OUT', io.paths);
  await until(() => other.text().length > 100_000);
  leaver.reader.destroy();
  await exited(writer);
  await other.ended;
  assert.ok(other.text().endsWith('\n300000\n'));
});

test('CVE-2025-64329: attaching and detaching leaves nothing behind', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder));
  const cycle = async (): Promise<void> => {
    const pipe = makePipe(4096);
    const detach = await io.attach({ stdout: pipe.writePath, stderr: pipe.writePath });
    pipe.close();
    await detach();
    await detach();
  };
  await cycle();
  const before = countFds();
  for (let count = 0; count < 10_000; count += 1) await cycle();
  assert.equal(countFds(), before);
});

test('an attach to a container without that stream is refused', async (t) => {
  const { folder, stdio } = setUp(t);
  const io = await stdio.open(requestIn(folder));
  await assert.rejects(io.attach({ stdout: join(folder, 'nothing') }), { message: /nothing/ });
  await io.remove();
  await assert.rejects(io.attach({ stdout: join(folder, 'nothing') }), { code: 'NOT_FOUND' });
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(predicate: () => boolean): Promise<void> {
  while (!predicate()) await sleep(10);
}
