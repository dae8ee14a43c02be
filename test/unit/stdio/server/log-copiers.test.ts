import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountInfo } from '../../../../src/host/mount/mountinfo.js';
import type { Copier } from '../../../../src/stdio/server/copier.js';
import { createLogCopiers } from '../../../../src/stdio/server/log-copiers.js';
import { quiet } from '../helpers.js';

const mount = (device: string, path: string): string => `1 1 ${device} / ${path} rw - ext4 /dev/x rw`;

/** A copier without a thread. It counts the logs that it was given. */
function fakeCopier(name: string) {
  const state = { name, count: 0, busyMs: 0 };
  const copier = { thread: { busyMs: () => state.busyMs, close: () => Promise.resolve() }, count: () => state.count };
  return { state, copier: copier as unknown as Copier };
}

function lab(lines: readonly string[]) {
  const made: ReturnType<typeof fakeCopier>[] = [];
  const make = (): Copier => {
    const fake = fakeCopier(String(made.length));
    made.push(fake);
    return fake.copier;
  };
  const mounts = parseMountInfo(lines.join('\n'));
  const copiers = createLogCopiers(quiet, make, () => Promise.resolve(mounts));
  /** Assigns a log to a thread. Returns the thread's name. */
  const put = async (path: string | undefined): Promise<string | undefined> => {
    const copier = await copiers.of(path);
    const fake = made.find((one) => one.copier === copier);
    if (fake) fake.state.count += 1;
    return fake?.state.name;
  };
  return { copiers, made, put };
}

test('each file system of logs has a thread, whatever its mount points', async () => {
  const { put } = lab([
    mount('8:1', '/'),
    mount('8:2', '/var/log'),
    mount('8:2', '/other'),
    mount('0:9', '/var/log/pods/a'),
  ]);
  const paths = ['/log', '/var/log/pods/b/0.log', '/other/x/0.log', '/var/log/pods/a/0.log', '/var/log/pods/ab/0.log'];
  const threads = [];
  for (const path of [...paths, undefined]) threads.push(await put(path));
  assert.deepEqual(threads, ['0', '1', '1', '2', '1', '0']);
});

test('eight file systems have threads of their own; further ones share the thread with the fewest logs', async () => {
  const { copiers, made, put } = lab(Array.from({ length: 10 }, (_, index) => mount(`8:${index}`, `/disk-${index}`)));
  for (let disk = 0; disk < 8; disk += 1) {
    await put(`/disk-${disk}/0.log`);
    if (disk !== 5) await put(`/disk-${disk}/1.log`);
  }
  const beyond = await put('/disk-8/0.log');
  for (const { state } of made.slice(0, 7)) state.busyMs = 6_000;
  const beside = await put('/disk-9/0.log');
  assert.deepEqual([made.length, beyond, beside, copiers.stalled()], [8, '5', '7', 14]);
});
