import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { runPod } from '../../harness/pod.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { startSuite } from './suite.js';

/** Tests of crid's log: one request through all layers, and the log level, which can be changed at run time. */

const suite = startSuite({ crid: () => ({ config: { crid: { log_level: 'info' } } }) });
const LIMIT_MS = 10_000;

type Line = Record<string, unknown>;

async function setLevel(level: string, msg: string): Promise<Line> {
  const file = join(suite.crid.dir, 'crid.toml');
  const text = await readFile(file, 'utf8');
  const before = (await suite.crid.logLines()).length;
  await writeFile(file, text.replace(/log_level = "\w+"/, `log_level = "${level}"`));
  process.kill(suite.crid.pid(), 'SIGHUP');
  return until(`"${msg}" in the log`, LIMIT_MS, async () =>
    (await suite.crid.logLines()).slice(before).find((line) => line['msg'] === msg),
  );
}

/** Returns the log lines of one RunPodSandbox and of the pod's removal. */
async function linesOfAPod(): Promise<Line[]> {
  const before = (await suite.crid.logLines()).length;
  await (await runPod(suite.crid, suite.stack, SHARED_PIDS)).remove();
  return (await suite.crid.logLines()).slice(before);
}

test('SIGHUP sets the level while crid runs; an invalid level is logged, and the old one stays', async () => {
  const debugLines = async (): Promise<number> => (await linesOfAPod()).filter(({ level }) => level === 'debug').length;
  assert.equal(await debugLines(), 0);
  assert.equal((await setLevel('debug', 'configuration reloaded'))['changed'], 1);
  assert.ok((await debugLines()) > 10);
  const refused = await setLevel('loud', 'configuration not reloaded, nothing has changed');
  assert.match(String(refused['err']), /crid\.log_level: expected one of .*, received "loud"/);
  assert.ok((await debugLines()) > 10);
  await setLevel('info', 'configuration reloaded');
  assert.equal(await debugLines(), 0);
});

test('at debug, the lines of a call, its steps and each call to containerd have one id, with code and time', async () => {
  await setLevel('debug', 'configuration reloaded');
  const lines = await linesOfAPod();
  await setLevel('info', 'configuration reloaded');
  const answered = lines.filter(({ rpc, msg }) => rpc === 'RunPodSandbox' && msg === 'call answered');
  assert.equal(answered.length, 1);
  const own = lines.filter(({ requestId }) => requestId === answered[0]!['requestId']);
  const calls = own.filter(({ msg }) => msg === 'containerd call');
  const steps = own.flatMap(({ msg, step }) => (msg === 'step done' ? String(step) : []));
  const methods = calls.map(({ method }) => String(method));
  for (const name of ['record sandbox', 'add network', 'create pause task']) assert.ok(steps.includes(name), name);
  for (const name of ['sandboxes.create', 'snapshots.prepare', 'containers.create', 'tasks.create', 'tasks.start'])
    assert.ok(methods.includes(name), name);
  const shapes = calls.map(({ code, durationMs, rpc }) => [typeof code, typeof durationMs, rpc]);
  assert.deepEqual(
    shapes,
    calls.map(() => ['string', 'number', 'RunPodSandbox']),
  );
});
