import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { ContainerState, PodSandboxState } from '../../generated/runtime/v1/api.js';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { which } from '../../tools/stack/exec.js';
import { until } from '../../tools/stack/wait.js';
import { criClient } from '../harness/cri-client.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../harness/pod.js';
import { testStack } from '../harness/test-stack.js';
import { bareNode, dpkg, type BareNode } from './bare-node.js';
import { assertCountsOn, runCounting } from './counting.js';
import { PACKAGE_VERSIONS, packageFile } from './debian.js';
import { CRID_SOCKET } from './installed.js';
import { pidOf } from './scopes.js';
import { property, systemctl } from './unit.js';

/** The Debian package on a node without Node.js: installed, upgraded, downgraded, removed and purged by dpkg. */
const crid = criClient(CRID_SOCKET);
const LIMIT_MS = 600_000;

let pod: RunningPod;
let id = '';
/** The pids of the container and of its pod's sandbox. */
let pids: readonly number[];
let node: BareNode;

before(async () => {
  const stack = await testStack();
  await writeCerts('/etc/containerd/certs.d', stack.registry.url);
  node = await bareNode();
});

after(async () => {
  await node.giveBack();
  await systemctl('start', 'crid');
  await removeAllPods(crid);
  crid.close();
  await systemctl('stop', 'crid');
});

test('dpkg -i starts and enables nothing; the service runs on the Node.js of the package', async () => {
  assert.equal(which('node'), undefined);
  await dpkg('-i', packageFile(PACKAGE_VERSIONS.own));
  assert.deepEqual([await property('ActiveState'), await property('UnitFileState')], ['inactive', 'disabled']);
  await systemctl('enable', '--now', 'crid');
  assert.equal(await readlink(`/proc/${await property('MainPID')}/exe`), '/usr/lib/crid/bin/node');
  assert.equal(await servedVersion(), PACKAGE_VERSIONS.own);
  await systemctl('reload', 'crid');
  await until('crid has reloaded', LIMIT_MS, async () => /; reloaded$/.test(await property('StatusText')) || undefined);
  await pullImage(crid);
  pod = await runPod(crid, await testStack());
  id = await runCounting(pod);
  pids = await pidsNow();
});

const CHANGES = [
  ['an upgrade', PACKAGE_VERSIONS.later],
  ['a downgrade', PACKAGE_VERSIONS.own],
] as const;
for (const [name, version] of CHANGES) {
  test(`${name} restarts crid under a container that writes: it goes on, and no line is missing`, async () => {
    const main = await property('MainPID');
    await dpkg('-i', packageFile(version));
    assert.equal(await servedVersion(), version);
    assert.notEqual(await property('MainPID'), main);
    await assertGoesOn();
  });
}

test('dpkg -r stops crid, says what stays, and the container goes on', async () => {
  const said = await dpkg('-r', 'crid');
  assert.match(said, /pods and containers, which go on running/);
  assert.deepEqual([await property('ActiveState'), which('crid')], ['inactive', undefined]);
  assertRun();
});

test('a crid that is installed again is enabled, and has the pod with every line of its log', async () => {
  await dpkg('-i', packageFile(PACKAGE_VERSIONS.own));
  assert.equal(await property('UnitFileState'), 'enabled');
  await systemctl('start', 'crid');
  await assertGoesOn();
});

test('dpkg --purge leaves no file of crid, no link and no pipe, and the container goes on', async () => {
  await dpkg('--purge', 'crid');
  assert.deepEqual(await node.added(), []);
  assert.deepEqual([await property('LoadState'), await property('NFileDescriptorStore')], ['not-found', '0']);
  assertRun();
});

/** Waits: on a slow node the first start of a version can fail, and systemd starts it again. */
const servedVersion = (): Promise<string> =>
  until('crid serves', LIMIT_MS, async () => (await crid.runtime.version({})).runtime_version);

const pidsNow = async (): Promise<number[]> => [await pidOf(crid, id), await pidOf(crid, pod.id)];

function assertRun(): void {
  assert.deepEqual(
    pids.filter((pid) => !existsSync(`/proc/${pid}`)),
    [],
  );
}

/** Asserts that crid has the pod and the container, with the same processes and every line of the log. */
async function assertGoesOn(): Promise<void> {
  const { status: sandbox } = await until('crid has the pod', LIMIT_MS, () =>
    crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id }),
  );
  const { status } = await crid.runtime.containerStatus({ container_id: id });
  assert.deepEqual([sandbox?.state, status?.state], [PodSandboxState.SANDBOX_READY, ContainerState.CONTAINER_RUNNING]);
  assert.deepEqual(await pidsNow(), pids);
  await assertCountsOn(pod);
}
