import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { run } from '../../../tools/stack/exec.js';
import { freePort } from '../../../tools/stack/ports.js';
import { until } from '../../../tools/stack/wait.js';
import { createLines } from '../../harness/lines.js';
import { runPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';

/** Failures of a log directory: the container keeps running, and crid reports the failure and recovers by itself. */

let metrics = '';
const suite = startSuite({
  crid: async () => {
    metrics = `127.0.0.1:${await freePort()}`;
    return { config: { crid: { metrics_address: metrics } } };
  },
});
const WAIT_LIMIT_MS = 60_000;
const LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?(?:Z|[+-]\d\d:\d\d) stdout F (\d{12}) \d{10} x+$/;

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

const said = (id: string, text: string): Promise<true> =>
  until(`crid says "${text}"`, WAIT_LIMIT_MS, async () => {
    const lines = await suite.crid.logLines();
    return lines.some((line) => line['container'] === id && String(line['msg']).includes(text)) || undefined;
  });

/**
 * Returns the numbers in a log. Its lines must be whole and in order, except for a last one that is just being written;
 * numbers may be missing.
 */
async function numbersIn(path: string): Promise<number[]> {
  const numbers = (await readFile(path, 'latin1'))
    .split('\n')
    .slice(0, -1)
    .map((line) => Number(LINE.exec(line)?.[1] ?? assert.fail(`not a whole line: ${line.slice(0, 200)}`)));
  numbers.forEach((number, index) => assert.ok(index === 0 || number > (numbers[index - 1] ?? 0), `${number} again`));
  return numbers;
}

const lastIn = async (path: string): Promise<number> => (await numbersIn(path)).at(-1) ?? 0;

const passes = (path: string, number: number): Promise<true> =>
  until(`${path} is past ${number}`, WAIT_LIMIT_MS, async () => (await lastIn(path)) > number || undefined);

/**
 * Runs a container that writes numbered lines for ever, with its logs in a separate folder. `after` runs after its
 * removal.
 */
async function writer(
  t: TestContext,
  logDirectory: string,
  after: () => Promise<unknown> = () => Promise.resolve(),
): Promise<{ id: string; path: string }> {
  const pod = await runPod(suite.crid, suite.stack, { log_directory: logDirectory });
  t.after(() => pod.remove().finally(after));
  const lines = await createLines(suite.stack.dir);
  const options = { bytesPerSecond: 500_000, count: 0, widthBytes: 100 };
  const id = await pod.run({ name: 'writer', ...lines.container(options) });
  const path = pod.logPath('writer');
  await until('the log begins', WAIT_LIMIT_MS, async () => (await lastIn(path)) > 0 || undefined);
  return { id, path };
}

test('a full disk: whole lines are dropped, counted and logged, and lines follow again once there is space', async (t) => {
  const disk = await mkdtemp(join(suite.stack.dir, 'disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
  const ballast = join(disk, 'ballast');
  await writeFile(ballast, Buffer.alloc(1024 * 1024));
  const { id, path } = await writer(t, join(disk, 'pod'), () => run('umount', [disk]));
  const droppedBefore = await metric('crid_log_dropped_bytes_total');

  await said(id, 'ENOSPC');
  // After a large write has failed, a small one may still fit.
  await until('the log counts as failing', WAIT_LIMIT_MS, async () =>
    (await metric('crid_logs_failing')) === 1 ? true : undefined,
  );
  assert.ok((await metric('crid_log_dropped_bytes_total')) > droppedBefore);
  assert.ok((await statfs(disk)).bavail < 64, 'the disk is full');
  const full = await lastIn(path);
  await rm(ballast);
  await said(id, 'written again');
  await passes(path, full);
  assert.equal(await metric('crid_logs_failing'), 0);
  const numbers = await numbersIn(path);
  assert.ok((numbers.at(-1) ?? 0) > numbers.length, 'what was dropped is missing, and the container went on meanwhile');
});

test('a deleted directory is created again, and no later line is lost', async (t) => {
  const directory = await mkdtemp(join(suite.stack.dir, 'deleted-'));
  const { id, path } = await writer(t, directory);
  const before = await lastIn(path);
  // crid may create new files while this still deletes.
  await rm(directory, { recursive: true, maxRetries: 10 });
  await said(id, 'deleted');
  await passes(path, before);
  const numbers = await numbersIn(path);
  assert.equal((numbers.at(-1) ?? 0) - (numbers[0] ?? 0) + 1, numbers.length, 'no gap in the new file');
});

test('a log that cannot be opened when crid starts: its container is not delayed, and is logged once the log can be opened', async (t) => {
  const parent = await mkdtemp(join(suite.stack.dir, 'blocked-'));
  const directory = join(parent, 'pod');
  await mkdir(directory);
  const { id, path } = await writer(t, directory);
  const before = await lastIn(path);
  await suite.crid.kill9();
  await rm(directory, { recursive: true });
  await writeFile(directory, 'in the way');
  await suite.crid.start();
  await said(id, 'EEXIST');
  assert.equal(await metric('crid_logs_failing'), 1);
  // More than the container's pipes hold: it would block if crid did not read.
  await until(
    'it goes on',
    WAIT_LIMIT_MS,
    async () => (await metric('crid_log_dropped_bytes_total')) > 3_000_000 || undefined,
  );
  await rm(directory);
  await said(id, 'written again');
  await passes(path, before);
  assert.ok(existsSync(path));
  assert.equal(await metric('crid_logs_failing'), 0);
});
