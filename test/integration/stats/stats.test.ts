import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ContainerStats, LinuxPodSandboxStats } from '../../../generated/runtime/v1/api.js';
import { cgroupParent } from '../../../tools/stack/cgroup-driver.js';
import { run, which } from '../../../tools/stack/exec.js';
import { goModule } from '../../../tools/stack/go-modules.js';
import type { RunningOperation } from '../../../src/operation/operation.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { runningOperations } from '../../harness/operations.js';
import { BUSYBOX, pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { IS_PINNED } from '../../harness/sandboxer.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { assertFails } from '../rpc/suite.js';

/**
 * The same pod on crid and on containerd's own CRI plugin, both over one containerd. crid's values must equal the
 * kernel's, and the plugin's within the tolerances below.
 */

const MIB = 1024n * 1024n;
/** Memory usage varies, and the kernel counts pages in batches of some dozen per CPU. */
const MEMORY_TOLERANCE = 2n * MIB;
/**
 * The CPU limit of one process that always wants more. It gets less on a busy machine, and a sampling window may cut a
 * period.
 */
const CPU_LIMIT_NANO_CORES = 200_000_000n;
const CPU_MOST_NANO_CORES = (CPU_LIMIT_NANO_CORES * 6n) / 5n;
const CPU_LEAST_NANO_CORES = CPU_LIMIT_NANO_CORES / 10n;
/** The size of a directory, which may be counted or not. */
const LAYER_TOLERANCE = 64n * 1024n;
const AGREE_LIMIT_MS = 30_000;

/** Writes 16 MiB into its layer, uses 32 MiB of memory and a fifth of a CPU. */
const BUSY = {
  name: 'busy',
  command: [
    'sh',
    '-c',
    'dd if=/dev/zero of=/layer bs=1M count=16; dd if=/dev/zero of=/dev/shm/held bs=1M count=32; ' +
      'touch /ready; (while :; do :; done) & sleep 1000',
  ],
  linux: { resources: { cpu_period: 100_000n, cpu_quota: 20_000n, memory_limit_in_bytes: 256n * MIB } },
};

interface Side {
  readonly client: CriClient;
  readonly pod: RunningPod;
  readonly containerId: string;
}

let stack: Stack;
let crid: Crid;
const IS_CONTAINERD_2_2 = goModule('containerd').version.startsWith('v2.2.');
let sides: { readonly crid: Side; readonly plugin: Side };

before(async () => {
  stack = await startStack({ cri: true, runtime: { netns_mounts_under_state_dir: true } });
  crid = await startCrid(stack, { config: { crid: { namespace: 'crid-stats' } } });
  sides = { crid: await begin(crid, 'crid'), plugin: await begin(criClient(stack.containerd.socket), 'plugin') };
});

after(async () => {
  await removeAllPods(crid);
  await removeAllPods(sides.plugin.client);
  await removeCgroups();
  await crid.stop();
  crid.close();
  sides.plugin.client.close();
  await stack.dispose();
});

async function begin(client: CriClient, name: string): Promise<Side> {
  await pullImage(client);
  const pod = await runPod(client, stack, {
    linux: { cgroup_parent: cgroupParent(`crid-stats-${process.pid}/${name}`) },
  });
  const containerId = await pod.run(BUSY);
  for (let tries = 0; (await pod.exec(containerId, ['test', '-e', '/ready'])).exitCode !== 0; tries++) {
    assert.ok(tries < 60, 'the container gets ready');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  // Long enough for a sampling window of both servers.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  return { client, pod, containerId };
}

/** The client that names a cgroup parent must remove it, as a kubelet does. */
async function removeCgroups(): Promise<void> {
  const roots = ['', ...(await readdir('/sys/fs/cgroup'))].map((name) => join('/sys/fs/cgroup', name));
  for (const root of roots) {
    for (const below of ['crid', 'plugin', '']) {
      await rmdir(join(root, `crid-stats-${process.pid}`, below)).catch(() => undefined);
    }
  }
}

const statsOf = async ({ client, containerId }: Side): Promise<ContainerStats> =>
  (await client.runtime.containerStats({ container_id: containerId })).stats!;

const podStatsOf = async ({ client, pod }: Side): Promise<LinuxPodSandboxStats> =>
  (await client.runtime.podSandboxStats({ pod_sandbox_id: pod.id })).stats!.linux!;

test('CPU time and memory are the numbers of the kernel', async () => {
  const { info } = await crid.runtime.containerStatus({ container_id: sides.crid.containerId, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
  const kernel = kernelOf(pid);
  const [cpuBefore, memoryBefore] = [kernel.cpuNs(), kernel.memoryBytes()];
  const stats = await statsOf(sides.crid);
  const cpuAfter = kernel.cpuNs();

  const cpu = stats.cpu!.usage_core_nano_seconds!.value;
  assert.ok(cpuBefore <= cpu && cpu <= cpuAfter, `${cpuBefore} <= ${cpu} <= ${cpuAfter}`);
  close('usage', stats.memory!.usage_bytes!.value, memoryBefore, MEMORY_TOLERANCE);
  close(
    'working set',
    stats.memory!.working_set_bytes!.value,
    memoryBefore - kernel.inactiveFileBytes(),
    MEMORY_TOLERANCE,
  );
  const { available_bytes: available, working_set_bytes: workingSet } = stats.memory!;
  assert.equal(available!.value + workingSet!.value, 256n * MIB);
});

test('the network numbers are those that the pod sees', async () => {
  const { pod, containerId } = sides.crid;
  const received = async (): Promise<bigint> => {
    const { stdout } = await pod.exec(containerId, ['cat', '/proc/net/dev']);
    return BigInt(/eth0:\s*(\d+)/.exec(stdout)![1]!);
  };
  const before = await received();
  const { network } = await podStatsOf(sides.crid);
  const seen = network!.default_interface!;
  assert.equal(seen.name, 'eth0');
  const bytes = seen.rx_bytes!.value;
  assert.ok(before <= bytes && bytes <= (await received()), `${before} <= ${bytes}`);
});

test('a second interface is listed beside the first, with the numbers that the pod sees, in statistics and in metrics', async () => {
  const { pod, containerId } = sides.crid;
  const { info } = await crid.runtime.containerStatus({ container_id: containerId, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
  const inPod = (...command: string[]): Promise<string> =>
    run('nsenter', ['--net', '--target', String(pid), ...command]);
  // Both ends of the veth are in the pod, so the host does not see it.
  await inPod('ip', 'link', 'add', 'net1', 'type', 'veth', 'peer', 'name', 'peer1');
  await inPod('ip', 'link', 'set', 'peer1', 'up');
  await inPod('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'net1');
  await inPod('ip', 'link', 'set', 'net1', 'up');
  // No host has this address. The packets are counted nevertheless.
  await pod.exec(containerId, ['ping', '-c', '3', '-W', '1', '-i', '0.2', '192.0.2.2']);

  const sent = async (): Promise<{ bytes: bigint; packets: bigint }> => {
    const { stdout } = await pod.exec(containerId, ['cat', '/proc/net/dev']);
    const fields = /net1:\s*(.*)/.exec(stdout)![1]!.trim().split(/\s+/);
    return { bytes: BigInt(fields[8]!), packets: BigInt(fields[9]!) };
  };
  const before = await sent();
  const { network } = await podStatsOf(sides.crid);
  const { pod_metrics: metrics } = await crid.runtime.listPodSandboxMetrics({});
  const most = await sent();
  const second = network!.interfaces.find(({ name }) => name === 'net1')!;
  assert.deepEqual(
    [network!.default_interface!.name, network!.interfaces.map(({ name }) => name).sort()],
    ['eth0', ['net1', 'peer1']],
  );
  const told = metrics
    .find((one) => one.pod_sandbox_id === pod.id)!
    .metrics.find(
      ({ name, label_values }) =>
        name === 'container_network_transmit_packets_total' && label_values[label_values.length - 1] === 'net1',
    );
  assert.ok(before.packets > 0n, 'something was sent');
  between(second.tx_bytes!.value, before.bytes, most.bytes);
  between(told!.value!.value, before.packets, most.packets);
});

const SWAPPING = { memory_limit_in_bytes: 64n * MIB, memory_swap_limit_in_bytes: 192n * MIB };

test('available swap is the limit of the kernel minus the usage', { skip: noSwapAccounts() }, async () => {
  const { pod } = sides.crid;
  const id = await pod.run({ name: 'limited', command: ['sleep', '1000'], linux: { resources: SWAPPING } });
  const { swap } = (await crid.runtime.containerStats({ container_id: id })).stats!;
  assert.deepEqual(
    [swap!.swap_usage_bytes!.value, swap!.swap_available_bytes!.value],
    [0n, SWAPPING.memory_swap_limit_in_bytes - SWAPPING.memory_limit_in_bytes],
  );
  await crid.runtime.removeContainer({ container_id: id });
});

test('swap usage is the number of the kernel', { skip: noSwapAccounts() || noSwapArea() }, async () => {
  const { pod } = sides.crid;
  const id = await pod.run({
    name: 'swapping',
    command: ['sh', '-c', 'dd if=/dev/zero of=/dev/shm/swapped bs=1M count=96; touch /ready; sleep 1000'],
    linux: { resources: SWAPPING },
  });
  await until(
    '96 MiB are written',
    60_000,
    async () => (await pod.exec(id, ['test', '-e', '/ready'])).exitCode === 0 || undefined,
  );
  const { info } = await crid.runtime.containerStatus({ container_id: id, verbose: true });
  const kernel = kernelOf((JSON.parse(info['info'] ?? '{}') as { pid: number }).pid);
  const { swap } = (await crid.runtime.containerStats({ container_id: id })).stats!;
  close('swap', swap!.swap_usage_bytes!.value, kernel.swapBytes(), MEMORY_TOLERANCE);
  assert.ok(swap!.swap_usage_bytes!.value > 16n * MIB, 'more was written than memory may hold');
  await crid.runtime.removeContainer({ container_id: id });
});

test('crid and the plugin report the same for the same container', async () => {
  await withLayer(sides.plugin);
  // The servers sample at different times, so retry.
  const ours = await until('they agree', AGREE_LIMIT_MS, async () => {
    const [ours, theirs] = await Promise.all([statsOf(sides.crid), statsOf(sides.plugin)]);
    for (const [what, ofOurs, ofTheirs] of [
      ['memory', ours.memory!.usage_bytes!, theirs.memory!.usage_bytes!],
      ['working set', ours.memory!.working_set_bytes!, theirs.memory!.working_set_bytes!],
      ['rss', ours.memory!.rss_bytes!, theirs.memory!.rss_bytes!],
    ] as const) {
      close(what, ofOurs.value, ofTheirs.value, MEMORY_TOLERANCE);
    }
    close('layer', ours.writable_layer!.used_bytes!.value, theirs.writable_layer!.used_bytes!.value, LAYER_TOLERANCE);
    assert.equal(ours.writable_layer!.fs_id!.mountpoint, theirs.writable_layer!.fs_id!.mountpoint);
    return ours;
  });
  assertRate(ours.cpu!.usage_nano_cores!.value);
});

test('crid and the plugin report the same for the same pod', async () => {
  const [ours, theirs] = [await podStatsOf(sides.crid), await podStatsOf(sides.plugin)];
  assert.deepEqual(
    [ours.process!.process_count, ours.network!.default_interface!.name, ours.containers.length],
    [theirs.process!.process_count, theirs.network!.default_interface!.name, theirs.containers.length],
  );
  close('memory', ours.memory!.usage_bytes!.value, theirs.memory!.usage_bytes!.value, 2n * MEMORY_TOLERANCE);
  assertRate(ours.cpu!.usage_nano_cores!.value);
});

test('the metrics have the plugin’s names, and every one has a descriptor', async () => {
  const names = async ({ runtime }: CriClient): Promise<string[]> =>
    (await runtime.listMetricDescriptors({})).descriptors.map(({ name }) => name).sort();
  const told = async ({ runtime }: CriClient): Promise<string[]> => {
    const { pod_metrics: pods } = await runtime.listPodSandboxMetrics({});
    const metrics = pods.flatMap((pod) => [...pod.metrics, ...pod.container_metrics.flatMap((one) => one.metrics)]);
    return [...new Set(metrics.map(({ name }) => name))];
  };
  const [described, ours] = [await names(crid), await told(crid)];
  // The plugin before 2.2 has no metrics, and that of 2.2 described others than it reported.
  const theirs = await names(sides.plugin.client).catch(() => undefined);
  if (theirs && !IS_CONTAINERD_2_2) {
    assert.deepEqual(described, theirs);
    assert.deepEqual(without(await told(sides.plugin.client), ours), []);
  }
  assert.deepEqual(without(ours, described), []);
  assert.ok(ours.length > 35, `${ours.length} of ${described.length} have a value`);
});

const without = (names: readonly string[], others: readonly string[]): string[] =>
  names.filter((name) => !others.includes(name));

/** Keys in the verbose info of containerd 2.3's plugin. The plugin of this containerd has fewer for a pod. */
const VERBOSE = {
  status: ['cniconfig', 'config', 'lastCNILoadStatus'],
  pod: [
    ...['pid', 'processStatus', 'netNamespaceClosed', 'image', 'snapshotKey', 'snapshotter', 'runtimeHandler'],
    ...[
      'runtimeType',
      'runtimeOptions',
      'config',
      'runtimeSpec',
      'cniResult',
      'sandboxMetadata',
      'overhead',
      'resources',
    ],
  ],
  container: [
    ...['sandboxID', 'pid', 'removing', 'snapshotKey', 'snapshotter', 'runtimeType', 'runtimeOptions', 'config'],
    'runtimeSpec',
  ],
  image: ['chainID', 'imageSpec'],
};

/** The version of Go, and a duplicate of `lastCNILoadStatus`. */
const PLUGIN_ALONE = ['golang', 'lastCNILoadStatus.default'];

test('verbose responses have all keys that the plugin has', async () => {
  const keysOf = async ({ client, pod, containerId }: Side): Promise<Record<keyof typeof VERBOSE, string[]>> => {
    const { runtime, images } = client;
    const [status, ofPod, ofContainer, ofImage] = await Promise.all([
      runtime.status({ verbose: true }),
      runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true }),
      runtime.containerStatus({ container_id: containerId, verbose: true }),
      images.imageStatus({ image: { image: BUSYBOX }, verbose: true }),
    ]);
    const inside = ({ info }: { info: Record<string, string> }): string[] =>
      Object.keys(JSON.parse(info['info']!) as object);
    return {
      ...{ status: Object.keys(status.info), pod: inside(ofPod) },
      ...{ container: inside(ofContainer), image: inside(ofImage) },
    };
  };
  const [ours, theirs] = [await keysOf(sides.crid), await keysOf(sides.plugin)];
  for (const [of, keys] of Object.entries(VERBOSE) as [keyof typeof VERBOSE, string[]][]) {
    const lacking = [...keys, ...theirs[of]].filter((key) => ![...ours[of], ...PLUGIN_ALONE].includes(key));
    assert.deepEqual(lacking, [], of);
  }
});

/** Keys of the plugin's config, by path, whose value differs in crid. In this test crid uses a separate namespace. */
const OTHERWISE: Readonly<Record<string, string>> = {
  rootDir: 'crid-stats has directories of its own; in k8s.io they are those of the plugin',
  stateDir: 'likewise',
};

const skip = IS_PINNED && 'the plugin has no such sandboxer';
test('crid info: the config has every key of the plugin with its value, and the pause image', { skip }, async () => {
  const configOf = async ({ client }: Side): Promise<Record<string, unknown>> =>
    JSON.parse((await client.runtime.status({ verbose: true })).info['config']!) as Record<string, unknown>;
  const [ours, theirs] = [leaves(await configOf(sides.crid)), leaves(await configOf(sides.plugin))];
  // The plugin shows "" for a duration that is not set and has a default; crid shows the default.
  const isUnset = (path: string, value: string): boolean => value === '""' && /Period$/.test(path);
  const differing = [...theirs].filter(([path, value]) => ours.get(path) !== value && !isUnset(path, value));
  assert.deepEqual(
    differing.filter(([path]) => !(path in OTHERWISE)).map(([path, value]) => [path, value, ours.get(path)]),
    [],
  );
  assert.ok(theirs.size > 50, `${theirs.size} keys`);
  assert.equal(ours.get('sandboxImage'), '"registry.k8s.io/pause:3.10"');
  assert.equal(ours.get('rootDir'), JSON.stringify(join(stack.containerd.root, 'io.crid.crid-stats')));
});

/** Returns each value that is not an object, as JSON, by its path. */
function leaves(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return new Map([[path, JSON.stringify(value)]]);
  const below = Object.entries(value).map(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
  return new Map(below.flatMap((each) => [...each]));
}

test('running operations and their steps are shown for the node and for the container', async () => {
  const { runtime } = crid;
  const pod = await runPod(crid, stack);
  const id = await pod.runReady('stubborn', 'trap "" TERM; echo ready; while :; do sleep 1; done');
  const stopping = runtime.stopContainer({ container_id: id, timeout: 60n });
  const stepsIn = (operations: readonly RunningOperation[]): string[] =>
    operations.flatMap(({ kind, subject, steps }) => steps.map(({ name }) => `${kind} ${subject}: ${name}`));
  const ofContainer = async (): Promise<string[]> => {
    const { info } = await runtime.containerStatus({ container_id: id, verbose: true });
    return stepsIn((JSON.parse(info['info'] ?? '{}') as { operations: RunningOperation[] }).operations);
  };
  const told = await until('the container is waited for', 20_000, async () => {
    const steps = await ofContainer();
    return steps.some((step) => step.includes('wait')) ? steps : undefined;
  });
  assert.deepEqual([told, stepsIn(await runningOperations(runtime))], [[`stop container ${id}: wait for exit`], told]);
  await runtime.stopContainer({ container_id: id, timeout: 0n });
  await stopping;
  await pod.remove();
});

test('each stream has what its list has', async () => {
  const { runtime, images } = crid;
  const all = async <M, T>(stream: AsyncIterable<M>, of: (message: M) => T[]): Promise<T[]> => {
    const found: T[] = [];
    for await (const message of stream) found.push(...of(message));
    return found;
  };
  const streamed = {
    pods: await all(runtime.streamPodSandboxes({}), ({ pod_sandboxes }) => pod_sandboxes),
    containers: await all(runtime.streamContainers({}), (message) => message.containers),
    images: await all(images.streamImages({}), (message) => message.images),
  };
  const listed = {
    pods: (await runtime.listPodSandbox({})).items,
    containers: (await runtime.listContainers({})).containers,
    images: (await images.listImages({})).images,
  };
  assert.deepEqual(streamed, listed);
  assert.ok(Object.values(listed).every(({ length }) => length > 0));

  // Compare only the ids in the statistics, because the values differ between calls.
  const whose = {
    containers: await all(runtime.streamContainerStats({}), ({ container_stats }) =>
      container_stats.map(({ attributes, cpu }) => [attributes?.id, cpu !== undefined]),
    ),
    pods: await all(runtime.streamPodSandboxStats({}), ({ pod_sandbox_stats }) =>
      pod_sandbox_stats.map(({ attributes, linux }) => [attributes?.id, linux?.cpu !== undefined]),
    ),
    metrics: await all(runtime.streamPodSandboxMetrics({}), ({ pod_sandbox_metrics }) =>
      pod_sandbox_metrics.map((each) => [each.pod_sandbox_id, each.metrics.length > 0]),
    ),
  };
  const pods = listed.pods.map(({ id }) => [id, true]);
  assert.deepEqual(whose, { containers: listed.containers.map(({ id }) => [id, true]), pods, metrics: pods });
});

test('events reach each subscriber in order', async () => {
  const ended = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const event of crid.runtime.getContainerEvents({}, { signal: ended.signal })) {
      seen.push(`${event.container_event_type} ${event.container_id} ${event.pod_sandbox_status?.id}`);
    }
  })().catch(() => undefined);
  // The subscription is active once the server has received the call.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const pod = await runPod(crid, stack);
  const id = await pod.run();
  await crid.runtime.stopContainer({ container_id: id, timeout: 5n });
  await crid.runtime.removeContainer({ container_id: id });
  await pod.remove();
  await new Promise((resolve) => setTimeout(resolve, 500));
  ended.abort();
  await following;
  const of = (who: string): string[] => [0, 1, 2, 3].map((type) => `${type} ${who} ${pod.id}`);
  assert.deepEqual(
    [seen.filter((line) => line.split(' ')[1] === id), seen.filter((line) => line.split(' ')[1] === pod.id)],
    [of(id), of(pod.id)],
  );
});

test(
  'a checkpoint is refused with the reason where there is no criu',
  { skip: which('criu') !== undefined },
  async () => {
    const { pod, containerId } = sides.crid;
    await assertFails(
      crid.runtime.checkpointContainer({ container_id: containerId, location: join(stack.dir, 'checkpoint.tar') }),
      'FAILED_PRECONDITION',
      'dump processes: the runtime finds no usable criu in the PATH of containerd',
    );
    // CRIU had frozen the container before it failed.
    assert.equal((await pod.exec(containerId, ['echo', 'goes on'])).stdout, 'goes on\n');
    assert.ok(!existsSync(join(stack.dir, 'checkpoint.tar')));
  },
);

/**
 * Waits until the layer's usage includes what the container has written: the plugin measures layers only every ten
 * seconds.
 */
async function withLayer(side: Side): Promise<ContainerStats> {
  for (let tries = 0; ; tries++) {
    const stats = await statsOf(side);
    if (tries === 25 || (stats.writable_layer?.used_bytes?.value ?? 0n) > MIB) return stats;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/** Asserts that two values differ by at most the tolerance. */
function close(what: string, ours: bigint, theirs: bigint, tolerance: bigint): void {
  const difference = ours > theirs ? ours - theirs : theirs - ours;
  assert.ok(difference <= tolerance, `${what}: ${ours} and ${theirs} differ by ${difference}, more than ${tolerance}`);
}

const assertRate = (nanoCores: bigint): void =>
  assert.ok(CPU_LEAST_NANO_CORES <= nanoCores && nanoCores <= CPU_MOST_NANO_CORES, `${nanoCores} nano cores`);

function between(value: bigint, least: bigint, most: bigint): void {
  assert.ok(least <= value && value <= most, `${least} <= ${value} <= ${most}`);
}

/** Returns why swap cannot be tested on this host; false if it can. */
function noSwapAccounts(): string | false {
  const there =
    existsSync('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes') ||
    (existsSync('/sys/fs/cgroup/cgroup.controllers') && existsSync('/proc/swaps'));
  return !there && 'the kernel keeps no accounts of swap (swapaccount=0)';
}

function noSwapArea(): string | false {
  return (
    readFileSync('/proc/swaps', 'utf8').trim().split('\n').length < 2 && 'no swap area is on: /proc/swaps is empty'
  );
}

/** Reads the usage of a process's cgroup from the kernel's files, on cgroup v1 and v2. */
function kernelOf(pid: number) {
  const paths = new Map<string, string>();
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const name of controllers?.split(',') ?? []) paths.set(name, path!);
  }
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
  const read = (controller: string, file: string): string =>
    readFileSync(
      `/sys/fs/cgroup/${unified ? '' : `${controller}/`}${paths.get(unified ? '' : controller)}/${file}`,
      'utf8',
    );
  const field = (text: string, name: string): bigint => BigInt(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)![1]!);
  return {
    cpuNs: () =>
      unified ? field(read('', 'cpu.stat'), 'usage_usec') * 1000n : BigInt(read('cpuacct', 'cpuacct.usage').trim()),
    memoryBytes: () => BigInt(read('memory', unified ? 'memory.current' : 'memory.usage_in_bytes').trim()),
    inactiveFileBytes: () => field(read('memory', 'memory.stat'), unified ? 'inactive_file' : 'total_inactive_file'),
    swapBytes: () =>
      unified ? BigInt(read('', 'memory.swap.current').trim()) : field(read('memory', 'memory.stat'), 'total_swap'),
  };
}
