import assert from 'node:assert/strict';
import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { CgroupDriver, ContainerState } from '../../generated/runtime/v1/api.js';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { run } from '../../tools/stack/exec.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { until } from '../../tools/stack/wait.js';
import { PACKAGED_CONFIG } from '../../tools/vm/recipe.js';
import { criClient } from '../harness/cri-client.js';
import { NODE, startKubelet, type Kubelet } from '../harness/kubelet.js';
import { removeAllPods } from '../harness/pod.js';
import { testStack } from '../harness/test-stack.js';
import { podManifest } from '../kubelet/manifest.js';
import { CONTAINERD_SOCKET, CRID_SOCKET } from './installed.js';
import { cgroupOf, pidOf } from './scopes.js';
import { systemctl } from './unit.js';

/**
 * The node as packaged: Debian's containerd with its config.toml, crid from its package without configuration, and a
 * kubelet with its defaults, which takes the cgroup driver from crid.
 */
const crid = criClient(CRID_SOCKET);
const LIMIT_MS = 300_000;
const CONFIG = '/etc/containerd/config.toml';
const OWN_CONFIG = '/etc/crid/config.toml';
const MIB = 1024 * 1024;
const FILES = ['memory.max', 'cpu.max', 'cpu.weight'] as const;

type Limits = Readonly<Record<'memory.max' | 'cpu.max', string>>;
interface QosPod {
  readonly name: string;
  /** The kubelet's cgroup folder of the QoS class, "" for Guaranteed. */
  readonly qos: '' | 'burstable' | 'besteffort';
  readonly resources: object;
  readonly limits: Limits;
}

const guaranteed = { cpu: '200m', memory: '64Mi' };
const PODS: readonly QosPod[] = [
  {
    name: 'guaranteed',
    qos: '',
    resources: { requests: guaranteed, limits: guaranteed },
    limits: { 'memory.max': String(64 * MIB), 'cpu.max': '20000 100000' },
  },
  {
    name: 'burstable',
    qos: 'burstable',
    resources: { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '300m', memory: '96Mi' } },
    limits: { 'memory.max': String(96 * MIB), 'cpu.max': '30000 100000' },
  },
  {
    name: 'besteffort',
    qos: 'besteffort',
    resources: {},
    limits: { 'memory.max': 'max', 'cpu.max': 'max 100000' },
  },
];

let kubelet: Kubelet;

before(async () => {
  const stack = await testStack();
  const program = await ensureGoTool(stack.layout, 'kubelet');
  await systemctl('stop', 'crid');
  await rename(CONFIG, `${CONFIG}.tests`);
  await copyFile(join('/', PACKAGED_CONFIG), CONFIG);
  await writeCerts('/etc/containerd/certs.d', stack.registry.url);
  await systemctl('restart', 'containerd');
  await systemctl('start', 'crid');
  const node = { ...stack, containerd: { ...stack.containerd, socket: CONTAINERD_SOCKET } };
  kubelet = await startKubelet(node, { program, socket: CRID_SOCKET });
  for (const { name, resources } of PODS) {
    const manifest = podManifest(name, { containers: [{ name: 'main', resources }] });
    await writeFile(join(kubelet.manifests, `${name}.json`), JSON.stringify(manifest));
  }
});

after(async () => {
  await kubelet.dispose();
  await removeAllPods(crid);
  crid.close();
  await systemctl('stop', 'crid');
  await rm(OWN_CONFIG, { force: true });
  await rename(`${CONFIG}.tests`, CONFIG);
  await systemctl('restart', 'containerd');
});

test('with no configuration the limits of every class are in force in the cgroups that the kubelet made', async (t) => {
  assert.equal((await crid.runtime.runtimeConfig({})).linux?.cgroup_driver, CgroupDriver.CGROUPFS);
  await assertLimits(t, (qos, uid, id) => [`/${['kubepods', qos, `pod${uid}`].filter(Boolean).join('/')}`, id]);
});

test('with SystemdCgroup = true they are in force in the slices that the kubelet made', async (t) => {
  await run('mkdir', ['-p', '/etc/crid']);
  await writeFile(OWN_CONFIG, '[runtime.containerd.runtimes.runc.options]\nSystemdCgroup = true\n');
  await kubelet.stop();
  await systemctl('restart', 'crid');
  assert.equal((await crid.runtime.runtimeConfig({})).linux?.cgroup_driver, CgroupDriver.SYSTEMD);
  await kubelet.start();
  await assertLimits(t, (qos, uid, id) => {
    const parts = ['kubepods', qos, `pod${uid.replaceAll('-', '_')}`].filter(Boolean);
    const slices = parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`);
    return [slices.join(''), `cri-containerd-${id}.scope`];
  });
});

/** `placeOf` returns the cgroup of the pod and the name of the container's cgroup below it. */
async function assertLimits(
  t: TestContext,
  placeOf: (qos: string, uid: string, id: string) => readonly [pod: string, container: string],
): Promise<void> {
  const weights: number[] = [];
  for (const { name, qos, limits } of PODS) {
    const { id, podCgroup, cgroup } = await until(`${name} runs where the kubelet made its cgroup`, LIMIT_MS, () =>
      runningIn(name, (uid, id) => placeOf(qos, uid, id)),
    );
    const [ofPod, ofContainer] = [await filesOf(podCgroup), await filesOf(cgroup)];
    const { stdout } = await crid.runtime.execSync({
      container_id: id,
      cmd: ['sh', '-c', `cd /sys/fs/cgroup && cat ${FILES.join(' ')}`],
      timeout: 60n,
    });
    const inside = Buffer.from(stdout).toString().trim().split('\n');
    t.diagnostic(`${podCgroup}: ${FILES.map((file) => `${file} ${ofPod[file]}`).join(', ')}`);
    t.diagnostic(`${cgroup}: ${FILES.map((file) => `${file} ${ofContainer[file]}`).join(', ')}`);
    assert.deepEqual(
      [limitsIn(ofPod), limitsIn(ofContainer), inside],
      [limits, limits, FILES.map((file) => ofContainer[file])],
      name,
    );
    const pids = (await readFile(join('/sys/fs/cgroup', cgroup, 'cgroup.procs'), 'utf8')).trim().split('\n');
    assert.ok(pids.includes(String(await pidOf(crid, id))), `${name}: its process is in ${cgroup}`);
    weights.push(Number(ofPod['cpu.weight']));
  }
  const [most = 0, more = 0, least = 0] = weights;
  assert.ok(most > more && more > least && least === 1, `CPU weights ${weights.join(', ')}`);
}

type Files = Readonly<Record<(typeof FILES)[number], string>>;
const limitsIn = (files: Files): Limits => ({ 'memory.max': files['memory.max'], 'cpu.max': files['cpu.max'] });

async function filesOf(cgroup: string): Promise<Files> {
  const read = async (file: string): Promise<[string, string]> => [
    file,
    (await readFile(join('/sys/fs/cgroup', cgroup, file), 'utf8')).trim(),
  ];
  return Object.fromEntries(await Promise.all(FILES.map(read))) as Files;
}

/** Returns the running container of a pod in the expected cgroup; undefined while there is none. */
async function runningIn(
  name: string,
  placeOf: (uid: string, id: string) => readonly [pod: string, container: string],
): Promise<{ id: string; podCgroup: string; cgroup: string } | undefined> {
  const { containers } = await crid.runtime.listContainers({
    filter: {
      state: { state: ContainerState.CONTAINER_RUNNING },
      label_selector: { 'io.kubernetes.pod.name': `${name}-${NODE}` },
    },
  });
  for (const { id, labels } of containers) {
    const [podCgroup, own] = placeOf(labels['io.kubernetes.pod.uid'] ?? '', id);
    const cgroup = `${podCgroup}/${own}`;
    if ((await cgroupOf(crid, id).catch(() => '')) === cgroup) return { id, podCgroup, cgroup };
  }
  return undefined;
}
