import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Metrics as MetricsV1 } from '../../../generated/containerd/cgroups/v1/metrics.js';
import { Metrics as MetricsV2 } from '../../../generated/containerd/cgroups/v2/metrics.js';
import { workingSetBytes, type CgroupUsage } from '../../../src/base/cgroup-usage.js';
import { decodeCgroupMetrics } from '../../../src/containerd/cgroup-metrics.js';
import { usageV1 } from '../../../src/host/cgroup/cgroup-usage-v1.js';
import { usageV2 } from '../../../src/host/cgroup/cgroup-usage-v2.js';
import { parseNetDev } from '../../../src/host/namespace/net-dev.js';

async function directoryWith(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'crid-cgroup-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(directory, name, '..'), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  return directory;
}

/** The values that both hierarchies and both runtimes report below. */
const COMMON = {
  cpu: {
    usageNs: 3_000_000n,
    userNs: 2_000_000n,
    systemNs: 1_000_000n,
    throttling: { periods: 10n, throttledPeriods: 4n, throttledNs: 5_000n },
  },
  memory: {
    usage: 1000n,
    limit: 4096n,
    rss: 300n,
    cache: 600n,
    mappedFile: 50n,
    activeFile: 100n,
    inactiveFile: 400n,
    pageFaults: 7n,
    majorPageFaults: 2n,
    kernel: 90n,
    maxUsage: 2000n,
  },
  pids: { current: 3n, limit: 100n },
  devices: [{ major: 8n, minor: 16n, readBytes: 512n, writeBytes: 1024n, reads: 1n, writes: 2n }],
};

const V1: CgroupUsage = {
  ...COMMON,
  cpu: { ...COMMON.cpu, pressure: undefined },
  memory: { ...COMMON.memory, failures: 6n, oomKills: 1n, pressure: undefined },
  swap: { usage: 20n, limit: 904n },
  ioPressure: undefined,
};

const SOME = { avg10: 1.5, avg60: 0.25, avg300: 0, totalNs: 42_000n };
const FULL = { avg10: 0, avg60: 0, avg300: 0, totalNs: 1_000n };

const V2: CgroupUsage = {
  ...COMMON,
  cpu: { ...COMMON.cpu, pressure: { some: SOME, full: FULL } },
  memory: { ...COMMON.memory, failures: 6n, oomKills: 1n, pressure: { some: SOME, full: FULL } },
  swap: { usage: 20n, limit: undefined },
  ioPressure: { some: SOME, full: FULL },
};

test('the files of cgroup v1', async (t) => {
  const root = await directoryWith(t, {
    'cpuacct/cpuacct.usage': '3000000\n',
    'cpuacct/cpuacct.usage_user': '2000000\n',
    'cpuacct/cpuacct.usage_sys': '1000000\n',
    'cpu/cpu.stat': 'nr_periods 10\nnr_throttled 4\nthrottled_time 5000\n',
    'memory/memory.usage_in_bytes': '1000\n',
    'memory/memory.limit_in_bytes': '4096\n',
    'memory/memory.memsw.limit_in_bytes': '5000\n',
    'memory/memory.max_usage_in_bytes': '2000\n',
    'memory/memory.failcnt': '6\n',
    'memory/memory.kmem.usage_in_bytes': '90\n',
    'memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    // The cgroup's own values come first. The sums with its children have the prefix total_.
    'memory/memory.stat': [
      'cache 1\nrss 1\npgfault 1\ntotal_cache 600\ntotal_rss 300\ntotal_mapped_file 50\ntotal_pgfault 7',
      'total_pgmajfault 2\ntotal_swap 20\ntotal_active_file 100\ntotal_inactive_file 400\n',
    ].join('\n'),
    'pids/pids.current': '3\n',
    'pids/pids.max': '100\n',
    'blkio/blkio.throttle.io_service_bytes_recursive': '8:16 Read 512\n8:16 Write 1024\n8:16 Total 1536\nTotal 1536\n',
    'blkio/blkio.throttle.io_serviced_recursive': '8:16 Read 1\n8:16 Write 2\n8:16 Total 3\nTotal 3\n',
  });
  const directory = (controller: string): string => join(root, controller);
  assert.deepEqual(usageV1(directory, true), V1);
  assert.equal(
    usageV1(() => join(root, 'gone'), true),
    undefined,
  );

  await writeFile(join(root, 'memory/memory.limit_in_bytes'), '9223372036854771712\n');
  const unlimited = usageV1(directory, false);
  assert.deepEqual([unlimited?.memory?.limit, unlimited?.swap?.limit], [undefined, undefined]);
});

test('the files of cgroup v2', async (t) => {
  const pressure = 'some avg10=1.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n';
  const directory = await directoryWith(t, {
    'cpu.stat': 'usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 5\n',
    'cpu.pressure': pressure,
    'memory.current': '1000\n',
    'memory.max': '4096\n',
    'memory.peak': '2000\n',
    'memory.pressure': pressure,
    'memory.events': 'low 0\nhigh 0\nmax 6\noom 1\noom_kill 1\n',
    'memory.stat':
      'anon 300\nfile 600\nkernel 90\nfile_mapped 50\ninactive_file 400\nactive_file 100\npgfault 7\npgmajfault 2\n',
    'memory.swap.current': '20\n',
    'memory.swap.max': 'max\n',
    'pids.current': '3\n',
    'pids.max': '100\n',
    'io.stat': '8:16 rbytes=512 wbytes=1024 rios=1 wios=2 dbytes=0 dios=0\n',
    'io.pressure': pressure,
  });
  assert.deepEqual(usageV2(directory, true), V2);
  assert.equal(usageV2(join(directory, 'gone'), true), undefined);
});

test('the swap limit is the lower one of a scope and of the cgroup of crun below it', async (t) => {
  const limitOf = async (scope: string, below: string): Promise<bigint | undefined> => {
    const files = { 'cpu.stat': '', 'memory.swap.current': '0\n', 'memory.swap.max': `${scope}\n` };
    return usageV2(await directoryWith(t, { ...files, 'container/memory.swap.max': `${below}\n` }), false)?.swap?.limit;
  };
  assert.deepEqual(
    [await limitOf('96', '32'), await limitOf('32', '96'), await limitOf('max', '0'), await limitOf('0', 'max')],
    [32n, 32n, 0n, 0n],
  );
});

test('the metrics that a runtime reports itself are read the same way', () => {
  const v1 = MetricsV1.fromPartial({
    cpu: {
      usage: { total: 3_000_000n, user: 2_000_000n, kernel: 1_000_000n },
      throttling: { periods: 10n, throttled_periods: 4n, throttled_time: 5000n },
    },
    memory: {
      total_rss: 300n,
      total_cache: 600n,
      total_mapped_file: 50n,
      total_active_file: 100n,
      total_inactive_file: 400n,
      total_pg_fault: 7n,
      total_pg_maj_fault: 2n,
      usage: { usage: 1000n, limit: 4096n, max: 2000n, failcnt: 6n },
      swap: { usage: 1020n, limit: 5000n },
      kernel: { usage: 90n },
    },
    memory_oom_control: { oom_kill: 1n },
    pids: { current: 3n, limit: 100n },
    blkio: {
      io_service_bytes_recursive: [
        { op: 'Read', major: 8n, minor: 16n, value: 512n },
        { op: 'Write', major: 8n, minor: 16n, value: 1024n },
      ],
      io_serviced_recursive: [
        { op: 'Read', major: 8n, minor: 16n, value: 1n },
        { op: 'Write', major: 8n, minor: 16n, value: 2n },
      ],
    },
  });
  const psi = {
    some: { avg10: 1.5, avg60: 0.25, avg300: 0, total: 42n },
    full: { avg10: 0, avg60: 0, avg300: 0, total: 1n },
  };
  const v2 = MetricsV2.fromPartial({
    cpu: {
      usage_usec: 3000n,
      user_usec: 2000n,
      system_usec: 1000n,
      nr_periods: 10n,
      nr_throttled: 4n,
      throttled_usec: 5n,
      psi,
    },
    memory: {
      anon: 300n,
      file: 600n,
      slab: 90n,
      file_mapped: 50n,
      active_file: 100n,
      inactive_file: 400n,
      pgfault: 7n,
      pgmajfault: 2n,
      usage: 1000n,
      usage_limit: 4096n,
      max_usage: 2000n,
      swap_usage: 20n,
      swap_limit: 2n ** 64n - 1n,
      psi,
    },
    memory_events: { max: 6n, oom_kill: 1n },
    pids: { current: 3n, limit: 100n },
    io: { usage: [{ major: 8n, minor: 16n, rbytes: 512n, wbytes: 1024n, rios: 1n, wios: 2n }], psi },
  });
  const told = (type: string, value: Uint8Array): CgroupUsage => decodeCgroupMetrics({ type_url: type, value });
  assert.deepEqual(told('io.containerd.cgroups.v1.Metrics', MetricsV1.encode(v1).finish()), V1);
  assert.deepEqual(told('io.containerd.cgroups.v2.Metrics', MetricsV2.encode(v2).finish()), V2);
  assert.throws(() => told('x.Metrics', new Uint8Array()), { code: 'INTERNAL', message: /"x.Metrics"/ });
});

test('the working set is the usage without inactive file pages, and never negative', () => {
  const memory = V1.memory!;
  assert.deepEqual([workingSetBytes(memory), workingSetBytes({ ...memory, inactiveFile: 2000n })], [600n, 0n]);
});

test('/proc/PID/net/dev', () => {
  const text = [
    'Inter-|   Receive                                                |  Transmit',
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
    '    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0',
    'eth0.1:18446744073709551615 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0',
    '',
  ].join('\n');
  const zero = { rxBytes: 0n, rxPackets: 0n, rxErrors: 0n, rxDropped: 0n };
  assert.deepEqual(parseNetDev(text), [
    { name: 'lo', ...zero, txBytes: 0n, txPackets: 0n, txErrors: 0n, txDropped: 0n },
    {
      name: 'eth0.1',
      rxBytes: 18446744073709551615n,
      rxPackets: 2n,
      rxErrors: 3n,
      rxDropped: 4n,
      txBytes: 5n,
      txPackets: 6n,
      txErrors: 7n,
      txDropped: 8n,
    },
  ]);
});
