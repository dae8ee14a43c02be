import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { ContainerState } from '../../generated/runtime/v1/api.js';
import { run } from '../../tools/stack/exec.js';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { until } from '../../tools/stack/wait.js';
import { criClient } from '../harness/cri-client.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../harness/pod.js';
import { testStack } from '../harness/test-stack.js';
import { assertCountsOn, runCounting } from './counting.js';
import { CRID_SOCKET } from './installed.js';
import { cgroupOf, pidOf } from './scopes.js';
import { property, systemctl } from './unit.js';

/** crid as a node runs it: installed from its npm package, started by its unit, with the packaged containerd. */
const crid = criClient(CRID_SOCKET);
const LIMIT_MS = 300_000;
const OWN_CONFIG = '/etc/crid/config.toml';
const LAST = 2000;

let pod: RunningPod;
let id = '';

const answers = (): Promise<unknown> =>
  until('crid answers', LIMIT_MS, () => crid.runtime.containerStatus({ container_id: id }));

before(async () => {
  const stack = await testStack();
  await writeCerts('/etc/containerd/certs.d', stack.registry.url);
  await systemctl('start', 'crid');
  await pullImage(crid);
  pod = await runPod(crid, stack, { linux: { cgroup_parent: '/kubepods.slice/kubepods-podservice.slice' } });
  id = await runCounting(pod);
});

after(async () => {
  await removeAllPods(crid);
  crid.close();
  await systemctl('stop', 'crid');
});

test('the unit is started when crid serves, and says so', async () => {
  assert.deepEqual(
    [await property('Type'), await property('ActiveState'), await property('StatusText')],
    ['notify', 'active', `serving ${CRID_SOCKET}`],
  );
  const { runtime_name: name } = await crid.runtime.version({});
  assert.equal(name, 'crid');
});

test('the kubelet gets the systemd cgroup driver, and crid uses it', async () => {
  const { linux } = await crid.runtime.runtimeConfig({});
  assert.equal(linux?.cgroup_driver, 0, 'SYSTEMD');
  assert.equal(await cgroupOf(crid, id), `/kubepods.slice/kubepods-podservice.slice/cri-containerd-${id}.scope`);
});

test('kill -9: systemd starts it again, the container goes on, and no line of its log is missing', async () => {
  const before = [await pidOf(crid, id), await pidOf(crid, pod.id)];
  const main = await property('MainPID');
  await systemctl('kill', '--kill-whom=main', '--signal=KILL', 'crid');
  await until('systemd starts it again', LIMIT_MS, async () => {
    const now = await property('MainPID');
    return (now !== main && now !== '0' && (await property('ActiveState')) === 'active') || undefined;
  });
  await answers();
  assert.deepEqual([await pidOf(crid, id), await pidOf(crid, pod.id)], before);
  await assertCountsOn(pod);
});

test('containerd restarts: crid stays, and so do the containers', async () => {
  const before = [await property('MainPID'), await pidOf(crid, id), await pidOf(crid, pod.id)];
  await systemctl('restart', 'containerd');
  await answers();
  const { exitCode } = await until('exec works again', LIMIT_MS, () => pod.exec(id, ['true']));
  assert.equal(exitCode, 0);
  assert.deepEqual([await property('MainPID'), await pidOf(crid, id), await pidOf(crid, pod.id)], before);
  await assertCountsOn(pod);
});

test('stopped and started: the same', async () => {
  const before = await pidOf(crid, id);
  await systemctl('stop', 'crid');
  assert.ok((await readFile(`/proc/${before}/comm`, 'utf8')).length > 0, 'the container lives without crid');
  await systemctl('start', 'crid');
  await answers();
  assert.equal(await pidOf(crid, id), before);
  await assertCountsOn(pod);
});

const ABSENCES: readonly [name: string, leave: () => Promise<unknown>, comeBack: () => Promise<unknown>][] = [
  ['killed', () => systemctl('kill', '--kill-whom=main', '--signal=KILL', 'crid'), () => Promise.resolve()],
  ['stopped', () => systemctl('stop', 'crid'), () => systemctl('start', 'crid')],
];
for (const [name, leave, comeBack] of ABSENCES) {
  test(`the output and the exit of a container while crid is ${name} are in its log: systemd has its pipes`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'crid-away-'));
    const script = `echo ready; while [ ! -e /away/go ]; do sleep 0.1; done; seq ${LAST}; printf end; echo err >&2`;
    const mounts = [{ host_path: folder, container_path: '/away' }];
    const leaving = await pod.run({ name, command: ['sh', '-c', script], mounts });
    const log = (): Promise<string> => readFile(pod.logPath(name), 'utf8');
    await until('it is ready', LIMIT_MS, async () => (await log()).includes('ready') || undefined);
    const pid = await pidOf(crid, leaving);
    assert.equal(await property('NFileDescriptorStore'), '4', 'two of each container');
    await leave();
    await writeFile(join(folder, 'go'), '');
    await until('it has ended', LIMIT_MS, () => !existsSync(`/proc/${pid}`) || undefined);
    assert.notEqual(await property('ActiveState'), 'active', 'it has ended while crid was away');
    await comeBack();
    await answers();
    await until('crid knows that it has ended', LIMIT_MS, async () => {
      const { status } = await crid.runtime.containerStatus({ container_id: leaving });
      return status?.state === ContainerState.CONTAINER_EXITED || undefined;
    });
    const lines = (await log()).split('\n').map((line) => line.split(' ').slice(1).join(' '));
    const numbers = Array.from({ length: LAST }, (_, index) => `stdout F ${index + 1}`);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('stdout')),
      ['stdout F ready', ...numbers, 'stdout P end'],
    );
    assert.ok(lines.includes('stderr F err'));
    await until(
      'systemd has let go of them',
      LIMIT_MS,
      async () => (await property('NFileDescriptorStore')) === '2' || undefined,
    );
    await crid.runtime.removeContainer({ container_id: leaving });
    await rm(folder, { recursive: true });
  });
}

test('systemctl reload takes a right file; with a wrong one it fails, names the reason and changes nothing', async (t) => {
  const before = [await property('MainPID'), await pidOf(crid, id)];
  t.after(async () => {
    await rm(OWN_CONFIG);
    await systemctl('reload', 'crid');
  });
  // The folder stays: other tests of the node's configuration may have made it.
  await mkdir(dirname(OWN_CONFIG), { recursive: true });
  await writeFile(OWN_CONFIG, '[crid]\nlog_level = "debug"\n');
  await systemctl('reload', 'crid');
  // systemd does not wait until crid has read the files.
  await until('the level is in force', LIMIT_MS, async () => (await logLevel()) === 'debug' || undefined);
  const status = `serving ${CRID_SOCKET}; reloaded`;
  assert.equal(await property('StatusText'), status);

  await writeFile(OWN_CONFIG, '[crid]\nlog_level = "trace"\n[runtime.cni]\nmax_conf_num = "many"\n');
  const sinceSeconds = Math.floor(Date.now() / 1000);
  await assert.rejects(systemctl('reload', 'crid'), /crid\.service/);
  const journal = await run('journalctl', ['--unit', 'crid', '--since', `@${sinceSeconds}`, '--output', 'cat']);
  assert.match(journal, /runtime\.cni\.max_conf_num: expected a whole number, received "many"/);
  assert.deepEqual(
    [await logLevel(), await property('StatusText'), await property('ActiveState')],
    ['debug', status, 'active'],
  );
  assert.deepEqual([await property('MainPID'), await pidOf(crid, id)], before);
  await assertCountsOn(pod);
});

test('crid doctor finds nothing wrong with the node', async () => {
  await run('/usr/local/bin/crid', ['doctor'], { timeoutMs: LIMIT_MS });
});

/** Returns the level that is in force. */
async function logLevel(): Promise<string> {
  const { info } = await crid.runtime.status({ verbose: true });
  return (JSON.parse(info['cridConfig'] ?? '{}') as { crid: { log_level: string } }).crid.log_level;
}
