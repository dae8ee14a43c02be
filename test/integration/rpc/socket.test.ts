import assert from 'node:assert/strict';
import { lstat, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../../../tools/stack/project.js';
import { startDaemon } from '../../../tools/stack/daemon.js';
import { until } from '../../../tools/stack/wait.js';
import { runningOperations } from '../../harness/operations.js';
import { startCrid } from '../../harness/crid.js';
import { crictl } from '../../harness/crictl.js';
import { criClient } from '../../harness/cri-client.js';
import { assertFails, startSuite } from './suite.js';

const suite = startSuite({ withPod: true });
const LIMIT_MS = 30_000;
/** Longer than two of crid's intervals between pings of a client. */
const STOPPED_MS = 45_000;
const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const modeOf = async (path: string): Promise<string> => ((await lstat(path)).mode & 0o7777).toString(8);

/** Runs `crid serve` on this socket until it fails. Returns its exit code and its log. */
async function serveAndFail(listen: string): Promise<{ code: number | string; log: string }> {
  const logFile = join(suite.crid.dir, 'refused.log');
  await writeFile(logFile, '');
  const config = ['--containerd-config', suite.stack.containerd.config, '--config', join(suite.crid.dir, 'crid.toml')];
  const daemon = await startDaemon(program, ['serve', ...config, '--listen', listen], { logFile });
  const code = await until('it ends', LIMIT_MS, () => (daemon.hasEnded() ? daemon.ended : undefined));
  return { code, log: await readFile(logFile, 'utf8') };
}

test('the socket is 0660, of root', async () => {
  const { uid, gid } = await stat(suite.crid.socket);
  assert.deepEqual([await modeOf(suite.crid.socket), uid, gid], ['660', 0, 0]);
});

test('a socket in use is refused with exit code 1 before anything is changed, and keeps working', async () => {
  const { code, log } = await serveAndFail(suite.crid.socket);
  assert.equal(code, 1);
  assert.match(log, new RegExp(`^crid: listen: another server answers on "${suite.crid.socket}"$`, 'm'));
  assert.ok(!log.includes('containerd'), log);
  await suite.crid.runtime.version({});
});

test('a file that is not a socket is not touched', async () => {
  const file = join(suite.crid.dir, 'a-file');
  await writeFile(file, 'precious');
  const { code, log } = await serveAndFail(file);
  assert.deepEqual([code, await readFile(file, 'utf8')], [1, 'precious']);
  assert.ok(log.includes(`"${file}"`), log);
});

test('invalid addresses are refused', async () => {
  for (const listen of ['tcp://127.0.0.1:1', `/${'x'.repeat(120)}`]) {
    const { code, log } = await serveAndFail(listen);
    assert.equal(code, 1);
    assert.ok(log.includes(listen), log);
  }
});

test('a stale socket is replaced, also after a crash; directories are created', async () => {
  const crid = await startCrid(suite.stack, { config: { crid: { namespace: 'crid-socket' } } });
  try {
    await crid.kill9();
    assert.ok((await lstat(crid.socket)).isSocket(), 'the socket has outlived its server');
    await crid.start();
    assert.equal(await modeOf(crid.socket), '660');
  } finally {
    await crid.stop();
    crid.close();
  }
});

test('SIGTERM: running calls are finished, no new call is accepted, the pod keeps running', async () => {
  const { crid, pod } = suite;
  const id = await pod.run();
  const call = crid.runtime.execSync({ container_id: id, cmd: ['sh', '-c', 'sleep 1; echo finished'], timeout: 20n });
  await until(
    'the command runs',
    LIMIT_MS,
    async () => (await runningOperations(crid.runtime)).some(({ kind }) => kind === 'exec sync') || undefined,
  );
  const stopped = crid.stop();
  const { stdout, exit_code: code } = await call;
  assert.deepEqual([Buffer.from(stdout).toString(), code, await stopped], ['finished\n', 0, 0]);

  const late = criClient(crid.socket);
  await assertFails(late.runtime.version({}), 'UNAVAILABLE');
  late.close();
  await crid.start();
  const { status } = await until('the client is back', LIMIT_MS, () =>
    crid.runtime.containerStatus({ container_id: id }),
  );
  assert.equal(status?.finished_at, 0n);
  await crid.runtime.removeContainer({ container_id: id });
});

test('a client that is stopped for a while keeps its connection, and the calls on it', async () => {
  const client = (await crictl(suite.stack, suite.crid.socket)).start(['events']);
  let told = '';
  client.stdout?.on('data', (chunk: Buffer) => (told += chunk.toString()));
  const eventIsTold = async (): Promise<true | undefined> => {
    const before = told.length;
    await suite.crid.runtime.removeContainer({ container_id: await suite.pod.create() });
    return told.length > before || undefined;
  };
  try {
    await until('crictl is told of events', LIMIT_MS, eventIsTold);
    client.kill('SIGSTOP');
    await sleep(STOPPED_MS);
    client.kill('SIGCONT');
    // The first event may have been sent before.
    for (let time = 1; time <= 2; time++) await until('crictl is told of events again', LIMIT_MS, eventIsTold);
    assert.equal(client.exitCode, null);
  } finally {
    client.kill('SIGKILL');
  }
});
