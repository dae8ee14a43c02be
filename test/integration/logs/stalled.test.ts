import assert from 'node:assert/strict';
import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { mountHung, type HungMount } from '../../harness/hung-mount.js';
import { createLines } from '../../harness/lines.js';
import { runPod } from '../../harness/pod.js';
import { makeStallingDisk, type StallingDisk } from '../../harness/stalled-disk.js';
import { failureOf, startSuite } from '../rpc/suite.js';

/** A pod logs to a disk that stalls, another to a file system that never responds, and a third uses neither. */

const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const WAIT_LIMIT_MS = 60_000;

let hung: HungMount | undefined;
let disk: StallingDisk | undefined;
// This hook must run before the suite's own, which fails if a mount is left.
after(() => {
  hung?.release();
  disk?.remove();
});
const suite = startSuite();

const numbersIn = async (log: string): Promise<number[]> =>
  (await readFile(log, 'latin1'))
    .split('\n')
    .slice(0, -1)
    .map((line) => Number(/^\S+ stdout F (\d{12}) /.exec(line)?.[1] ?? assert.fail(`not a whole line: ${line}`)));

test('hung logs delay only their own containers', { timeout: 240_000 }, async () => {
  const { crid, stack } = suite;
  disk = makeStallingDisk(await mkdtemp(join(stack.dir, 'disk-')));
  const hungPath = await mkdtemp(join(stack.dir, 'hung-'));
  hung = mountHung(hungPath);
  const onDisk = await runPod(crid, stack, { log_directory: join(disk.path, 'pod') });
  const onHung = await runPod(crid, stack, { log_directory: join(hungPath, 'pod') });
  const beside = await runPod(crid, stack);
  const lines = await createLines(stack.dir);
  const options = { bytesPerSecond: 500_000, count: 0, widthBytes: 100 };
  const writing = await onDisk.run({ name: 'writer', ...lines.container(options) });
  const before = await beside.run({ name: 'before' });
  const log = onDisk.logPath('writer');
  await until('the log begins', WAIT_LIMIT_MS, async () => (await numbersIn(log)).length > 0 || undefined);

  disk.stall();
  const refused = await onHung.create({ name: 'refused' });
  const refusal = failureOf(crid.runtime.startContainer({ container_id: refused }));
  const path = onHung.logPath('refused');
  await until(
    'crid why names the log',
    WAIT_LIMIT_MS,
    async () =>
      (await run(program, ['why', '--socket', crid.socket])).includes(`waiting for log "${path}"`) || undefined,
  );

  const said = await beside.exec(before, ['echo', 'alive'], 10);
  const short = await beside.run({ name: 'short', command: ['sh', '-c', 'seq 1 1000; exit 3'] });
  const status = await until('it has ended', WAIT_LIMIT_MS, async () => {
    const { status } = await crid.runtime.containerStatus({ container_id: short });
    return status?.exit_code === 3 ? status : undefined;
  });
  const shortLog = (await readFile(beside.logPath('short'), 'latin1')).split('\n');
  assert.deepEqual([said.stdout, status.reason, shortLog.length], ['alive\n', 'Error', 1001]);

  const { code, message } = await refusal;
  assert.deepEqual(
    [code, message.includes(`open streams: no answer within 15 s from log "${path}"`)],
    ['DEADLINE_EXCEEDED', true],
  );
  await until(
    'crid says that logs wait',
    WAIT_LIMIT_MS,
    async () =>
      (await crid.logLines()).some(({ msg }) => String(msg).startsWith(`logs on ${disk?.path} wait`)) || undefined,
  );
  const exec = await onDisk.exec(writing, ['echo', 'alive'], 10);
  assert.equal(exec.stdout, 'alive\n');

  disk.goOn();
  const last = (await numbersIn(log)).at(-1) ?? 0;
  await until('the log goes on', WAIT_LIMIT_MS, async () => ((await numbersIn(log)).at(-1) ?? 0) > last || undefined);
  await sleep(500);
  await crid.runtime.stopContainer({ container_id: writing, timeout: 0n });
  const numbers = await numbersIn(log);
  assert.ok(
    numbers.every((number, index) => number === (numbers[0] ?? 0) + index),
    'no line is missing or twice',
  );

  await onHung.remove();
  await onDisk.remove();
  await beside.remove();
  hung.release();
});
