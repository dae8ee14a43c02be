import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ContainerState } from '../../generated/runtime/v1/api.js';
import { run } from '../../tools/stack/exec.js';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { until } from '../../tools/stack/wait.js';
import { containerdConfig } from '../../tools/vm/recipe.js';
import { criClient, type CriClient } from '../harness/cri-client.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../harness/pod.js';
import { testStack } from '../harness/test-stack.js';
import { CONTAINERD_SOCKET, CRID_SOCKET } from './installed.js';
import { pidOf } from './scopes.js';

/**
 * `crid migrate` on a node under systemd, with pods of containerd's CRI plugin. A unit that only sleeps stands for the
 * kubelet: it is stopped, configured and started like one, and makes no calls.
 */
const LIMIT_MS = 300_000;
const CONFIG = '/etc/containerd/config.toml';
const KUBELET_CONFIG = '/var/lib/kubelet/config.yaml';
const KUBELET_UNIT = '/etc/systemd/system/kubelet.service';
const RECORDS = '/var/lib/crid/migrate';
const COUNTING = ['sh', '-c', 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done'];

const plugin = criClient(CONTAINERD_SOCKET);
const crid = criClient(CRID_SOCKET);
const ours = `# our configuration\n${containerdConfig({ cri: true })}# the end\n`;
let packaged = '';
let pod: RunningPod;
let id = '';
let life: object;

const systemctl = (...args: string[]): Promise<string> => run('systemctl', args, { timeoutMs: LIMIT_MS });
const property = async (name: string, unit: string): Promise<string> =>
  (await systemctl('show', '-P', name, unit)).trim();
const migrate = (args: readonly string[], fault = ''): Promise<string> =>
  run('/usr/local/bin/crid', ['migrate', ...args], {
    timeoutMs: LIMIT_MS,
    env: { ...process.env, CRID_FAULT: fault },
  });

before(async () => {
  const stack = await testStack();
  await systemctl('stop', 'crid');
  packaged = await readFile(CONFIG, 'utf8');
  await writeFile(CONFIG, ours);
  await writeCerts('/etc/containerd/certs.d', stack.registry.url);
  await systemctl('restart', 'containerd');
  await mkdir('/var/lib/kubelet', { recursive: true });
  await writeFile(KUBELET_CONFIG, `containerRuntimeEndpoint: unix://${CONTAINERD_SOCKET} # ours\n`, { mode: 0o600 });
  await writeFile(KUBELET_UNIT, '[Service]\nExecStart=/usr/bin/sleep infinity\n');
  await systemctl('daemon-reload');
  await systemctl('start', 'kubelet');
  await pullImage(plugin);
  pod = await runPod(plugin, stack, { linux: { cgroup_parent: '/kubepods.slice/kubepods-podmigrate.slice' } });
  id = await pod.run({ name: 'counting', command: COUNTING });
  life = await lifeAt(plugin);
});

after(async () => {
  await systemctl('stop', 'kubelet');
  await removeAllPods(await serving());
  plugin.close();
  crid.close();
  await systemctl('disable', '--now', 'crid');
  await rm(KUBELET_UNIT, { force: true });
  await rm(`${KUBELET_UNIT}.d`, { recursive: true, force: true });
  await rm(KUBELET_CONFIG, { force: true });
  await rm(RECORDS, { recursive: true, force: true });
  await writeFile(CONFIG, packaged);
  await systemctl('daemon-reload');
  await systemctl('restart', 'containerd');
});

test('the plan is shown, and nothing is changed without --yes', async () => {
  for (const direction of ['--check', '--to-crid']) {
    assert.match(
      await migrate([direction]),
      /plan: move the node to crid\n1\. stop the kubelet\n {3}systemctl stop kubelet\n/,
    );
  }
  assert.equal(await readFile(CONFIG, 'utf8'), ours);
  assert.equal(await property('ActiveState', 'crid'), 'inactive');
  assert.deepEqual(await lifeAt(plugin), life);
});

test('a step that fails is undone, and the plugin serves as before', async () => {
  await assert.rejects(
    migrate(['--to-crid', '--yes'], 'migrate/start the kubelet:before=fail'),
    /crid: start the kubelet: fault injected/,
  );
  await assertOnPlugin();
});

test('crid serves the pods of the plugin after the move, which a kill has interrupted', async (t) => {
  const pid = await property('MainPID', 'kubelet');
  await assert.rejects(migrate(['--to-crid', '--yes'], 'migrate/configure containerd:after=kill'));
  assert.deepEqual(
    [await property('ActiveState', 'kubelet'), await property('ActiveState', 'crid')],
    ['inactive', 'inactive'],
  );
  t.diagnostic(await migrate(['--to-crid', '--yes']));
  assert.deepEqual(await lifeAt(crid), life);
  await assertCountsOn();
  await assert.rejects(plugin.runtime.version({}), /UNIMPLEMENTED/);
  assert.equal(await readFile(KUBELET_CONFIG, 'utf8'), `containerRuntimeEndpoint: unix://${CRID_SOCKET} # ours\n`);
  assert.deepEqual(
    await Promise.all([
      property('ActiveState', 'kubelet'),
      property('UnitFileState', 'crid'),
      property('NeedDaemonReload', 'kubelet'),
      property('Wants', 'kubelet'),
    ]),
    ['active', 'enabled', 'no', 'crid.service'],
  );
  assert.notEqual(await property('MainPID', 'kubelet'), pid);
  assert.match(await migrate(['--to-crid', '--yes']), /nothing is left to do/);
});

test('the plugin serves them after the move back, and every file is as it was', async (t) => {
  t.diagnostic(await migrate(['--back', '--yes']));
  await assertOnPlugin();
});

async function assertOnPlugin(): Promise<void> {
  assert.deepEqual(await lifeAt(plugin), life);
  await assertCountsOn();
  assert.equal(await readFile(CONFIG, 'utf8'), ours);
  assert.equal(
    await readFile(KUBELET_CONFIG, 'utf8'),
    `containerRuntimeEndpoint: unix://${CONTAINERD_SOCKET} # ours\n`,
  );
  assert.deepEqual(
    await Promise.all([
      property('ActiveState', 'kubelet'),
      property('ActiveState', 'crid'),
      property('UnitFileState', 'crid'),
      property('NFileDescriptorStore', 'crid'),
      property('Wants', 'kubelet'),
    ]),
    ['active', 'inactive', 'disabled', '0', ''],
  );
}

/** Returns what a restart of the container or its pod would change. */
async function lifeAt(server: CriClient): Promise<object> {
  return until('the container is listed', LIMIT_MS, async () => {
    const { status } = await server.runtime.containerStatus({ container_id: id });
    const { items } = await server.runtime.listPodSandbox({});
    const pid = await pidOf(server, id);
    const [running, startedAt] = [status?.state === ContainerState.CONTAINER_RUNNING, status?.started_at];
    return { running, startedAt, pid, pods: items.map((each) => [each.id, each.state]) };
  });
}

/** Asserts that the container's output still reaches its log. */
async function assertCountsOn(): Promise<void> {
  const lines = async (): Promise<number> =>
    (await readFile(join(pod.config.log_directory, 'counting.log'), 'utf8')).split('\n').length;
  const soFar = await lines();
  await until('it writes on', LIMIT_MS, async () => ((await lines()) > soFar + 3 ? true : undefined));
}

const serving = async (): Promise<CriClient> => ((await property('ActiveState', 'crid')) === 'active' ? crid : plugin);
