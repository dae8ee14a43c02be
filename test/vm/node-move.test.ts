import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { run, which } from '../../tools/stack/exec.js';
import { until } from '../../tools/stack/wait.js';
import { containerdConfig } from '../../tools/vm/recipe.js';
import { criClient, type CriClient } from '../harness/cri-client.js';
import { kubeletPods, type Pod } from '../harness/kubelet-api.js';
import { parseEvents, unexpectedErrors } from '../harness/kubelet-log.js';
import { assertLeavesNothing, leaks, type Inventory } from '../harness/leaks.js';
import { pullImage, removeAllPods } from '../harness/pod.js';
import { testStack, type TestStack } from '../harness/test-stack.js';
import { alwaysExpected } from '../kubelet/expected.js';
import { lives } from '../kubelet/lives.js';
import { IMAGE, podManifest, type PodSpec } from '../kubelet/manifest.js';
import { podHandle, type PodHandle } from '../kubelet/pod-handle.js';
import { removeManifests, writeManifest } from '../kubelet/suite.js';
import { bareNode, dpkg, type BareNode } from './bare-node.js';
import { PACKAGE_VERSIONS, packageFile } from './debian.js';
import { CONTAINERD_SOCKET, CRID_SOCKET } from './installed.js';
import { KUBELET_CONFIG, startKubeletService, type KubeletService } from './kubelet-service.js';
import { property, systemctl } from './unit.js';

/**
 * The life of crid's package on a node with a kubelet, without Node.js, npm and network: installed beside containerd's
 * CRI plugin, the move to crid, an upgrade, the move back and the purge. The first pods run all the time.
 */
const LIMIT_MS = 600_000;
const FRESH_MS = 2_000;
const CONTAINERD_CONFIG = '/etc/containerd/config.toml';
const NODE_CONTAINERD = { socket: CONTAINERD_SOCKET, root: '/var/lib/containerd', state: '/run/containerd' };
const ours = containerdConfig({ cri: true });
const NUMBERS = 'trap "exit 0" TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.3; done';
const FIRST: Readonly<Record<string, PodSpec>> = {
  plain: { containers: [{ name: 'main' }] },
  probed: {
    containers: [
      {
        name: 'main',
        livenessProbe: { exec: { command: ['true'] }, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60 },
      },
    ],
  },
  sidecar: { initContainers: [{ name: 'side', restartPolicy: 'Always' }], containers: [{ name: 'main' }] },
  numbers: { containers: [{ name: 'main', script: NUMBERS }] },
};
/** Pods that are made while dpkg upgrades crid. */
const MEANWHILE = ['first', 'second', 'third'];

const plugin = criClient(CONTAINERD_SOCKET);
const crid = criClient(CRID_SOCKET);
const pods = new Map<string, PodHandle>();
/** The node's paths, for the check of what is left. */
let stack: TestStack;
let node: BareNode;
let kubelet: KubeletService;
let packaged = '';
let kubeletConfig = '';
/** The CRI server that the kubelet uses now. */
let server: CriClient = plugin;
let baseline: Inventory;
let asked: { readonly atMs: number; readonly pods: Promise<Pod[]> } | undefined;
/** As `lives` returns it. */
let seen: Record<string, object> = {};
/** Where the part of the kubelet's log begins in which no error is expected. */
let logFrom = 0;
let firstOfCrid = 0;

before(async () => {
  const tests = await testStack();
  stack = {
    ...tests,
    dir: '/run/containerd',
    containerd: { ...tests.containerd, ...NODE_CONTAINERD },
    bridge: { ...tests.bridge, name: 'node', dataDir: '/var/lib/cni/networks' },
  };
  packaged = await readFile(CONTAINERD_CONFIG, 'utf8');
  await writeCerts('/etc/containerd/certs.d', tests.registry.url);
  await systemctl('stop', 'crid');
  await writeFile(CONTAINERD_CONFIG, ours);
  await systemctl('restart', 'containerd');
  await until('the plugin serves', LIMIT_MS, () => plugin.runtime.version({}));
  await pullImage(plugin, IMAGE);
  baseline = await leaks(stack);
  kubelet = await startKubeletService(tests, CONTAINERD_SOCKET);
  kubeletConfig = await readFile(KUBELET_CONFIG, 'utf8');
  node = await bareNode();
});

after(async () => {
  await kubelet.dispose();
  await removeAllPods((await property('ActiveState')) === 'active' ? crid : plugin).catch(() => undefined);
  plugin.close();
  crid.close();
  await node.giveBack();
  await writeFile(CONTAINERD_CONFIG, packaged);
  await systemctl('restart', 'containerd');
});

test("a kubelet runs pods on containerd's CRI plugin", async () => {
  assert.deepEqual([which('node'), which('npm'), which('crid')], [undefined, undefined, undefined]);
  for (const [name, spec] of Object.entries(FIRST)) await make(name, spec);
  seen = await lives(server, await ready());
  assert.ok(Object.values(seen).every((life) => (life as { restartCount: number }).restartCount === 0));
});

test('dpkg -i and systemctl enable --now start crid beside the plugin, and no container restarts', async () => {
  await dpkg('-i', packageFile(PACKAGE_VERSIONS.own));
  await systemctl('enable', '--now', 'crid');
  assert.equal((await crid.runtime.version({})).runtime_version, PACKAGE_VERSIONS.own);
  assert.deepEqual(await lives(crid, await ready()), seen);
});

test('crid migrate moves the node to crid: the containers are the same, and a new pod runs', async (t) => {
  t.diagnostic(await migrate('--to-crid', '--yes'));
  server = crid;
  await assert.rejects(plugin.runtime.version({}), /UNIMPLEMENTED/);
  await assertUndisturbed();
  firstOfCrid = (await numbers()).at(-1) ?? 0;
  await make('of-crid', { containers: [{ name: 'main' }] });
  assert.equal(await pods.get('of-crid')?.run('main', 'echo runs'), 'runs\n');
  seen = await lives(server, await ready());
});

test('dpkg upgrades crid while pods are made: the containers are the same, and no line of a log is missing', async () => {
  const main = await property('MainPID');
  for (const name of MEANWHILE) await make(name, { containers: [{ name: 'main' }] });
  await dpkg('-i', packageFile(PACKAGE_VERSIONS.later));
  assert.equal((await crid.runtime.version({})).runtime_version, PACKAGE_VERSIONS.later);
  assert.notEqual(await property('MainPID'), main);
  await ready();
  // The kubelet logs the calls that failed at the restart, and tries them again.
  logFrom = (await kubelet.log()).length;
  await assertUndisturbed(...MEANWHILE);
  const all = await numbers();
  const since = all.slice(all.indexOf(firstOfCrid));
  assert.deepEqual(
    since,
    since.map((_, index) => firstOfCrid + index),
  );
  seen = await lives(server, await ready());
});

test('crid migrate moves the node back: the plugin has the containers of both, and a new pod runs', async (t) => {
  t.diagnostic(await migrate('--back', '--yes'));
  server = plugin;
  await assertUndisturbed();
  assert.deepEqual(
    [await readFile(CONTAINERD_CONFIG, 'utf8'), await readFile(KUBELET_CONFIG, 'utf8')],
    [ours, kubeletConfig],
  );
  await make('after', { containers: [{ name: 'main' }] });
  seen = await lives(server, await ready());
});

test('dpkg --purge leaves nothing of crid, and no container restarts', async () => {
  await dpkg('--purge', 'crid');
  const manifests = [...pods.keys()].map((name) => `${kubelet.manifests}/${name}.json`);
  assert.deepEqual(
    (await node.added()).filter((path) => !manifests.includes(path)),
    [],
  );
  assert.deepEqual([await property('LoadState'), await property('NFileDescriptorStore')], ['not-found', '0']);
  await assertUndisturbed();
});

test('the kubelet stops and the plugin removes all pods: nothing is left of those that crid made either', async () => {
  await removeManifests(kubelet, plugin);
  await systemctl('stop', 'kubelet');
  await removeAllPods(plugin);
  await assertLeavesNothing(stack, baseline);
});

async function make(name: string, spec: PodSpec): Promise<void> {
  await writeManifest(kubelet, name, podManifest(name, spec));
  pods.set(name, podHandle({ kubelet, runtime: () => server.runtime, pods: knownPods }, name));
}

/** Returns the kubelet's pods, cached for a moment: on an emulated node each request costs it a part of a second. */
function knownPods(): Promise<Pod[]> {
  if (!asked || performance.now() - asked.atMs > FRESH_MS)
    asked = { atMs: performance.now(), pods: kubeletPods(kubelet.url) };
  return asked.pods;
}

async function ready(): Promise<PodHandle[]> {
  const all = [...pods.values()];
  for (const pod of all) await pod.ready();
  return all;
}

/** Asserts that the kubelet and the server have the pods of `seen` unchanged, and all their containers run. */
async function assertUndisturbed(...except: readonly string[]): Promise<void> {
  await ready();
  const before = [...pods].filter(([name]) => !except.includes(name)).map(([, pod]) => pod);
  assert.deepEqual(await lives(server, before), seen);
  const log = await kubelet.log();
  assert.deepEqual(
    parseEvents(log).filter(({ reason }) => reason === 'SandboxChanged' || reason === 'Killing'),
    [],
  );
  assert.deepEqual(unexpectedErrors(log.slice(logFrom), alwaysExpected), []);
  const last = (await numbers()).at(-1) ?? 0;
  await until('the log goes on', LIMIT_MS, async () => ((await numbers()).at(-1) ?? 0) > last || undefined);
}

const numbers = async (): Promise<number[]> =>
  ((await pods.get('numbers')?.log('main')) ?? '').split('\n').filter(Boolean).map(Number);

const migrate = (...args: string[]): Promise<string> => run('crid', ['migrate', ...args], { timeoutMs: LIMIT_MS });
