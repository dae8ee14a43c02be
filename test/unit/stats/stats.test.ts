import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  StreamContainerStatsResponse,
  StreamPodSandboxMetricsResponse,
  StreamPodSandboxStatsResponse,
  type PodSandboxMetrics,
  type PodSandboxStats,
} from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import type { CgroupUsage } from '../../../src/base/cgroup-usage.js';
import type { Tasks } from '../../../src/containerd/containerd.js';
import { information } from '../../../src/cri/information.js';
import type { ContainerEvents } from '../../../src/events/container-events.js';
import type { Container, Pod } from '../../../src/state/records.js';
import type { State } from '../../../src/state/state.js';
import { createTable } from '../../../src/state/table.js';
import { containerStats, listContainerStats } from '../../../src/stats/container-stats.js';
import { createCpuRates } from '../../../src/stats/cpu-rates.js';
import type { StatsDeps } from '../../../src/stats/stats-deps.js';
import { listPodSandboxMetrics } from '../../../src/stats/pod-sandbox-metrics.js';
import { listMetricDescriptors } from '../../../src/stats/metric-descriptors.js';
import { listPodSandboxStats, podSandboxStats } from '../../../src/stats/pod-sandbox-stats.js';
import { createWritableLayers } from '../../../src/stats/writable-layers.js';
import { container, pod } from './records.js';

const log = createLogger('error');

const usage = (ns: bigint): CgroupUsage => ({
  cpu: { usageNs: ns, userNs: undefined, systemNs: undefined, throttling: undefined, pressure: undefined },
  memory: undefined,
  swap: undefined,
  pids: undefined,
  devices: [],
  ioPressure: undefined,
});

/** Every running container has used 5 ns. `broken` cgroups do not exist, and the runtime's statistics fail too. */
function depsOf(pods: readonly Pod[], containers: readonly Container[], broken: ReadonlySet<string>): StatsDeps {
  const tables = { pods: createTable<Pod>('pod sandbox'), containers: createTable<Container>('container') };
  for (const one of pods) tables.pods.put(one);
  for (const one of containers) tables.containers.put(one);
  return {
    log: log.child({}, { level: 'silent' }),
    containerd: {
      namespace: 'test',
      tasks: {
        metrics: () => Promise.reject(new CriError('UNAVAILABLE', 'ttrpc: closed')),
      } as unknown as Tasks,
    },
    state: {
      ...tables,
      containersOf: (id: string) => tables.containers.list().filter(({ podId }) => podId === id),
    } as unknown as State,
    cgroups: {
      usage: (path) => (broken.has(path) ? undefined : usage(5n)),
      cpuUsage: () => 5n,
      pids: () => [1, 2],
    },
    rates: createCpuRates(1000),
    layers: createWritableLayers({
      snapshots: () => ({ usage: (id) => Promise.resolve({ bytes: BigInt(id.length), inodes: 1n }) }),
      freshMs: 60_000,
      log,
    }),
    mountpoint: () => Promise.resolve('/'),
  };
}

const many = Array.from({ length: 200 }, (_, index) => container(`c${index}`, 'p1'));

test('a broken container of 200 is missing from the list; alone it is UNAVAILABLE', async () => {
  const deps = depsOf([pod('p1')], many, new Set(['/kubepods/p1/c7']));
  const ids = (await listContainerStats(deps)({})).map(({ attributes }) => attributes?.id);
  assert.deepEqual(
    ids,
    many.map(({ id }) => id).filter((id) => id !== 'c7'),
  );
  await assert.rejects(async () => containerStats(deps)({ container_id: 'c7' }), { code: 'UNAVAILABLE' });
  await assert.rejects(async () => containerStats(deps)({ container_id: 'nobody' }), { code: 'NOT_FOUND' });
});

test('a broken container leaves the rest of its pod, in statistics and in metrics', async () => {
  const deps = depsOf([pod('p1'), pod('p2')], [many[0]!, many[1]!, container('d', 'p2')], new Set(['/kubepods/p1/c0']));
  const stats = await listPodSandboxStats(deps)({});
  assert.deepEqual(
    stats.map(({ attributes, linux }) => [
      attributes?.id,
      linux?.cpu?.usage_core_nano_seconds?.value,
      linux?.process?.process_count?.value,
      linux?.containers.map((one) => one.attributes?.id),
    ]),
    [
      ['p1', 5n, 4n, ['c1']],
      ['p2', 5n, 2n, ['d']],
    ],
  );
  const metrics = await listPodSandboxMetrics(deps);
  assert.deepEqual(
    metrics.map((one) => [one.pod_sandbox_id, one.container_metrics.map(({ container_id }) => container_id)]),
    [
      ['p1', ['c1']],
      ['p2', ['d']],
    ],
  );
});

test('a broken pod of 200 is missing from statistics, metrics and their streams', async () => {
  const names = Array.from({ length: 200 }, (_, index) => `p${index}`);
  const others = names.filter((name) => name !== 'p7');
  const deps = depsOf(
    names.map((name) => pod(name)),
    names.map((name) => container(`c-${name}`, name)),
    new Set(['/kubepods/p7', '/kubepods/p7/c-p7']),
  );
  const idsOf = (pods: readonly PodSandboxStats[]): (string | undefined)[] =>
    pods.map(({ attributes }) => attributes?.id);
  const measured = (pods: readonly PodSandboxMetrics[]): string[] =>
    pods.flatMap((one) => (one.container_metrics.length > 0 ? one.pod_sandbox_id : []));
  assert.deepEqual(idsOf(await listPodSandboxStats(deps)({})), others);
  assert.deepEqual(measured(await listPodSandboxMetrics(deps)), others);

  const { streamPodSandboxStats, streamPodSandboxMetrics, streamContainerStats } = information({
    stats: deps,
    events: {} as ContainerEvents,
  });
  const [stats, metrics, containers] = await Promise.all([
    decoded(streamPodSandboxStats({ filter: undefined }), (bytes) => StreamPodSandboxStatsResponse.decode(bytes)),
    decoded(streamPodSandboxMetrics(), (bytes) => StreamPodSandboxMetricsResponse.decode(bytes)),
    decoded(streamContainerStats({ filter: undefined }), (bytes) => StreamContainerStatsResponse.decode(bytes)),
  ]);
  assert.deepEqual(idsOf(stats.flatMap(({ pod_sandbox_stats: some }) => some)), others);
  assert.deepEqual(measured(metrics.flatMap(({ pod_sandbox_metrics: some }) => some)), others);
  assert.deepEqual(
    containers.flatMap(({ container_stats: some }) => some.map(({ attributes }) => attributes?.id)),
    others.map((name) => `c-${name}`),
  );
});

const isSeconds = (name: string): boolean => name.includes('seconds') || name === 'container_last_seen';

async function decoded<T>(messages: AsyncIterable<Uint8Array>, decode: (bytes: Uint8Array) => T): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(decode(message));
  return all;
}

test('every metric has a descriptor with as many labels, and metrics in seconds have their fraction', async () => {
  const startedAtNs = 1_700_000_000_500_000_000n;
  const running = container('c', 'p1', { state: { phase: 'running', pid: process.pid, startedAtNs } });
  const [told] = await listPodSandboxMetrics(
    depsOf([pod('p1', { state: { phase: 'ready', pid: process.pid } })], [running], new Set()),
  );
  const described = new Map(
    listMetricDescriptors().descriptors.map(({ name, label_keys }) => [name, label_keys.length]),
  );
  const all = [...told!.metrics, ...told!.container_metrics.flatMap(({ metrics }) => metrics)];
  assert.deepEqual(
    all.map(({ name, label_values }) => [name, label_values.length]),
    all.map(({ name }) => [name, described.get(name)]),
  );
  const start = all.find(({ name }) => name === 'container_start_time_seconds');
  assert.deepEqual([start?.value, start?.double_value], [{ value: 1_700_000_000n }, { value: 1_700_000_000.5 }]);
  const fractional = all.filter(({ double_value: double }) => double !== undefined);
  assert.deepEqual(
    fractional.map(({ value, double_value: double }) => BigInt(Math.floor(double!.value)) - (value?.value ?? -1n)),
    fractional.map(() => 0n),
  );
  assert.deepEqual(new Set(fractional.map(({ name }) => name)), new Set(all.map(({ name }) => name).filter(isSeconds)));
});

test('a container that does not run has only its layer, and a pod that is not ready is UNAVAILABLE', async () => {
  const exited = container('gone', 'p1', {
    state: { phase: 'exited', startedAtNs: 1n, finishedAtNs: 2n, exitCode: 0, reason: 'Completed', message: '' },
  });
  const stopped = pod('p1', { state: { phase: 'not-ready', released: true, failedDetaches: 0 } });
  const deps = depsOf([stopped], [exited], new Set());
  const { stats } = await containerStats(deps)({ container_id: 'gone' });
  assert.deepEqual(
    [stats?.cpu, stats?.memory, stats?.writable_layer?.used_bytes],
    [undefined, undefined, { value: 4n }],
  );
  await assert.rejects(async () => podSandboxStats(deps)({ pod_sandbox_id: 'p1' }), { code: 'UNAVAILABLE' });
});

test('filters are ANDed: id, pod and labels', async () => {
  const deps = depsOf(
    [pod('p1'), pod('p2')],
    [container('a', 'p1'), container('b', 'p1'), container('aa', 'p2')],
    new Set(),
  );
  const ids = async (filter: { id: string; pod_sandbox_id: string; label_selector: Record<string, string> }) =>
    (await listContainerStats(deps)({ filter })).map(({ attributes }) => attributes?.id);
  assert.deepEqual(
    [
      await ids({ id: 'a', pod_sandbox_id: '', label_selector: {} }),
      await ids({ id: 'a', pod_sandbox_id: 'p1', label_selector: {} }),
      await ids({ id: '', pod_sandbox_id: '', label_selector: { app: 'p2' } }),
      await ids({ id: 'b', pod_sandbox_id: '', label_selector: { app: 'p2' } }),
    ],
    [['a', 'aa'], ['a'], ['aa'], []],
  );
});

test('the rate is that of the last whole window, however often it is read', () => {
  const second = 1_000_000_000n;
  const rates = createCpuRates(1000);
  const now = { usageNs: 3n * second, atNs: 12n * second, startedAtNs: 10n * second };
  const without = rates.nanoCores('c', now);
  rates.observe('c', second, 10n * second);
  rates.observe('c', second + 1n, 10n * second + 1n);
  rates.observe('c', second + second / 2n, 11n * second);
  const half = rates.nanoCores('c', now);
  rates.observe('c', 0n, 12n * second);
  const restarted = rates.nanoCores('c', now);
  rates.forget('c');
  assert.deepEqual(
    [without, half, restarted, rates.nanoCores('c', { usageNs: 1n, atNs: 1n })],
    [(3n * second) / 2n, second / 2n, 0n, undefined],
  );
});

test('a layer is measured once while it is fresh, and a failure is not retried at once', async () => {
  const asked: string[] = [];
  const layers = createWritableLayers({
    snapshots: () => ({
      usage(id) {
        asked.push(id);
        return id === 'sick'
          ? Promise.reject(new Error('input/output error'))
          : Promise.resolve({ bytes: 1n, inodes: 1n });
      },
    }),
    freshMs: 60_000,
    log: log.child({}, { level: 'silent' }),
  });
  const wanted = ['well', 'sick'].map((id) => ({ id, snapshotter: 'overlayfs', phase: 'running' as const }));
  await layers.want(wanted);
  await layers.want(wanted);
  assert.deepEqual([asked, layers.get('well')?.bytes, layers.get('sick')], [['well', 'sick'], 1n, undefined]);
});

test('a layer without a writer is measured once in each phase; one of a running container when it is stale', async () => {
  const asked: string[] = [];
  const layers = createWritableLayers({
    snapshots: () => ({
      usage(id) {
        asked.push(id);
        return Promise.resolve({ bytes: BigInt(asked.length), inodes: 1n });
      },
    }),
    freshMs: 0,
    log,
  });
  const want = async (phase: 'created' | 'running' | 'exited', looks: number): Promise<void> => {
    await layers.want([{ id: 'c', snapshotter: 'overlayfs', phase }]);
    for (let turn = 0; turn < 500 && asked.length < looks; turn += 1) await sleep(10);
  };
  const looks: number[] = [];
  for (const [phase, least] of [
    ['created', 1],
    ['created', 1],
    ['running', 2],
    ['running', 3],
    ['exited', 4],
    ['exited', 4],
  ] as const) {
    await want(phase, least);
    await sleep(60);
    looks.push(asked.length);
  }
  assert.deepEqual([looks, layers.get('c')?.bytes], [[1, 1, 2, 3, 4, 4], 4n]);
});
