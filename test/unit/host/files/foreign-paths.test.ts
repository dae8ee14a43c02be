import assert from 'node:assert/strict';
import { mkdirSync, openSync, closeSync, writeFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { lookAt, unanswered } from '../../../../src/host/files/foreign-paths.js';
import { makeFifo } from '../../../../src/host/pipe/fifo.js';
import { startWatchdog } from '../../../../src/host/systemd/watchdog.js';
import { mountHung } from '../../../harness/hung-mount.js';
import { folderFor } from '../helpers.js';

test('looks at a hung mount hold few threads, fail at once when it is known, and leave others alone', async (t) => {
  const folder = folderFor(t);
  const hung = join(folder, 'hung');
  mkdirSync(hung);
  writeFileSync(join(folder, 'file'), '');
  const mount = mountHung(hung);
  t.after(() => mount.release());
  let calls = 0;
  const look = (path: string) =>
    lookAt('mount source', path, () => {
      calls += 1;
      return stat(path);
    });
  const first = look(join(hung, 'a'));
  const joined = look(join(hung, 'a'));
  const ended = Promise.allSettled([first, joined]);
  assert.equal((await look(join(folder, 'file'))).isFile(), true);
  await sleep(5_100);
  assert.match(
    unanswered('mount source', [join(folder, 'file'), join(hung, 'a')]) ?? '',
    /^mount source "\S+\/hung\/a", which has not answered for \d+ s$/,
  );
  await assert.rejects(look(join(hung, 'a')), (thrown: Error & { code: string }) => {
    assert.equal(thrown.code, 'UNAVAILABLE');
    return /^mount source "\S+\/hung\/a" has not answered for \d+ s$/.test(thrown.message);
  });
  await assert.rejects(look(join(hung, 'b')), {
    code: 'UNAVAILABLE',
    message:
      /^mount source "\S+\/hung\/b" waits for others: mount source "\S+\/hung\/a" on the same mount \S+\/hung has not answered for \d+ s$/,
  });
  assert.equal((await look(join(folder, 'file'))).isFile(), true);
  mount.release();
  assert.deepEqual(
    (await ended).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual([calls, unanswered('mount source', [join(hung, 'a')])], [3, undefined]);
});

test('the watchdog is silent while every thread of the pool is held', async (t) => {
  const folder = folderFor(t);
  let signs = 0;
  t.after(startWatchdog(20, () => (signs += 1)));
  const writers: number[] = [];
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  const fifos = Array.from({ length: threads }, (_, index) => join(folder, `fifo-${index}`));
  for (const fifo of fifos) makeFifo(fifo, 0o600);
  await sleep(200);
  const before = signs;
  // Opening a FIFO blocks until its other end is open.
  const readers = fifos.map((fifo) => open(fifo, 'r'));
  await sleep(200);
  const held = signs;
  await sleep(200);
  const stillHeld = signs;
  for (const fifo of fifos) writers.push(openSync(fifo, 'w'));
  for (const reader of readers) await (await reader).close();
  for (const writer of writers) closeSync(writer);
  await sleep(200);
  assert.deepEqual([before > 0, stillHeld - held, signs > stillHeld], [true, 0, true]);
});
