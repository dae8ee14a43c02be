import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NamespaceMode, type LinuxContainerResources } from '../../generated/runtime/v1/api.js';
import { run } from '../../tools/stack/exec.js';
import { runPod, type RunningPod } from '../harness/pod.js';
import { IS_PINNED } from '../harness/sandboxer.js';
import { context, type ContainerPart, type PodPart } from '../integration/spec/rules.js';
import { assertFails, startSuite } from '../integration/rpc/suite.js';
import { cgroupOf, GIVEN_ID, HANDLERS, POD_USERNS } from './scopes.js';

/** The parent cgroup of a pod as a kubelet with the systemd driver names it: a slice. */
const PARENT = '/cridtest.slice/cridtest-pod1.slice';
const MIB = 1024 * 1024;
const { CONTAINER } = NamespaceMode;

const suite = startSuite({ crid: () => ({ config: { runtime: { disable_hugetlb_controller: false } } }) });

type Resources = Partial<LinuxContainerResources>;
const resources = (more: Resources): ContainerPart => ({ linux: { resources: more } });
const podPart = (security_context: NonNullable<PodPart['linux']>['security_context'] = {}): PodPart => ({
  linux: { cgroup_parent: PARENT, security_context },
});

/** Requested resources, and the contents of the files of cgroup v2 that they lead to. */
const LIMITS: readonly [name: string, asked: Resources, files: Readonly<Record<string, string | RegExp>>][] = [
  [
    'memory, and none of it swaps',
    { memory_limit_in_bytes: BigInt(64 * MIB) },
    { 'memory.max': String(64 * MIB), 'memory.swap.max': '0' },
  ],
  [
    'memory and swap: what CRI counts together, the kernel counts apart',
    { memory_limit_in_bytes: BigInt(64 * MIB), memory_swap_limit_in_bytes: BigInt(96 * MIB) },
    { 'memory.max': String(64 * MIB), 'memory.swap.max': String(32 * MIB) },
  ],
  ['nothing asked, nothing limited', {}, { 'memory.max': 'max', 'cpu.max': 'max 100000', 'pids.max': /^(max|\d+)$/ }],
  [
    'CPU: shares become a weight, quota and period one limit; cpuset',
    { cpu_shares: 1024n, cpu_quota: 25_000n, cpu_period: 50_000n, cpuset_cpus: '1', cpuset_mems: '0' },
    {
      // The formula has changed between versions of the runtimes: the older gives 39; the newer, which maps the default
      // shares to the kernel's default weight, gives 100.
      'cpu.weight': /^(39|100)$/,
      'cpu.max': '25000 50000',
      'cpuset.cpus': '1',
      'cpuset.mems': '0',
    },
  ],
  [
    'the least CPU shares; huge pages; unified: whatever the kernel has',
    {
      cpu_shares: 2n,
      hugepage_limits: [{ page_size: '2MB', limit: BigInt(4 * MIB) }],
      unified: { 'memory.high': String(48 * MIB), 'pids.max': '77', 'memory.oom.group': '1' },
    },
    {
      'cpu.weight': '1',
      'hugetlb.2MB.max': String(4 * MIB),
      'memory.high': String(48 * MIB),
      'pids.max': '77',
      'memory.oom.group': '1',
    },
  ],
  [
    'unified beside a field: the other limits stay',
    { memory_limit_in_bytes: BigInt(64 * MIB), unified: { 'memory.high': String(32 * MIB) } },
    { 'memory.max': String(64 * MIB), 'memory.high': String(32 * MIB) },
  ],
];

for (const handler of HANDLERS) {
  describe(handler, () => {
    let pod: RunningPod;
    before(async () => {
      pod = await runPod(suite.crid, suite.stack, podPart(), handler);
    });

    for (const [name, asked, files] of LIMITS) {
      test(name, async () => {
        const id = await pod.run(resources(asked));
        await assertFiles(id, files);
        await remove(id);
      });
    }

    test('the container and the pod’s pause process are scopes in the pod’s slice', async () => {
      const id = await pod.run();
      const slice = '/cridtest.slice/cridtest-pod1.slice';
      assert.equal(await cgroupOf(suite.crid, id), `${slice}/cri-containerd-${id}.scope`);
      if (!IS_PINNED) assert.equal(await cgroupOf(suite.crid, pod.id), `${slice}/cri-containerd-${pod.id}.scope`);
      const { stdout } = await pod.exec(id, ['cat', '/proc/self/cgroup']);
      assert.equal(stdout, '0::/\n', 'its cgroup namespace shows nothing above it');
      await remove(id);
    });

    test('cgroups are read-only inside, and writable for whom the handler lets', async () => {
      const id = await pod.run(context({ namespace_options: { pid: CONTAINER } }));
      const { stdout, stderr } = await pod.exec(id, [
        'sh',
        '-c',
        'grep -c "cgroup2" /proc/self/mountinfo; mkdir /sys/fs/cgroup/mine',
      ]);
      assert.equal(stdout, '1\n');
      assert.match(stderr, /Read-only file system/);
      await remove(id);
    });

    test('limits are systemd’s too: they outlive a reload of its units', async () => {
      const id = await pod.run(
        resources({ memory_limit_in_bytes: BigInt(64 * MIB), cpu_quota: 50_000n, cpu_period: 100_000n }),
      );
      await suite.crid.runtime.updateContainerResources({
        container_id: id,
        linux: { memory_limit_in_bytes: BigInt(96 * MIB) },
      });
      await run('systemctl', ['daemon-reload'], { timeoutMs: 120_000 });
      await assertFiles(id, { 'memory.max': String(96 * MIB), 'cpu.max': '50000 100000' });
      const shown = await run('systemctl', ['show', '-P', 'MemoryMax', `cri-containerd-${id}.scope`]);
      assert.equal(shown.trim(), String(96 * MIB));
      await remove(id);
    });

    test('an update reaches the cgroup and the status; one that is refused changes neither', async () => {
      const { runtime } = suite.crid;
      const id = await pod.run(resources({ memory_limit_in_bytes: BigInt(64 * MIB) }));
      const update = (linux: Resources): Promise<unknown> =>
        runtime.updateContainerResources({ container_id: id, linux });
      await update({
        memory_limit_in_bytes: BigInt(80 * MIB),
        cpu_quota: 30_000n,
        cpu_period: 60_000n,
        cpuset_cpus: '0',
        unified: { 'memory.high': String(72 * MIB) },
      });
      const updated = {
        'memory.max': String(80 * MIB),
        'memory.swap.max': '0',
        'memory.high': String(72 * MIB),
        'cpu.max': '30000 60000',
        'cpuset.cpus': '0',
      };
      await assertFiles(id, updated);
      await assert.rejects(update({ cpuset_cpus: '4000' }));
      await assertFiles(id, updated);
      const { status } = await runtime.containerStatus({ container_id: id });
      const { memory_limit_in_bytes, cpuset_cpus, unified } = status!.resources!.linux!;
      assert.deepEqual(
        { memory_limit_in_bytes, cpuset_cpus, unified },
        { memory_limit_in_bytes: BigInt(80 * MIB), cpuset_cpus: '0', unified: { 'memory.high': String(72 * MIB) } },
      );
      await remove(id);
    });

    test('a unified resource that the kernel does not have is an error that names it', async () => {
      const id = await pod.create(resources({ unified: { 'memory.nosuch': '1' } }));
      await assert.rejects(suite.crid.runtime.startContainer({ container_id: id }), /nosuch/);
      await remove(id);
    });

    test('a user namespace: inside the pod’s slice, with its limits', async () => {
      const inUserns = await runPod(suite.crid, suite.stack, podPart({ namespace_options: POD_USERNS }), handler);
      const id = await inUserns.run({
        linux: {
          resources: { memory_limit_in_bytes: BigInt(64 * MIB) },
          security_context: { namespace_options: POD_USERNS },
        },
      });
      assert.match(await cgroupOf(suite.crid, id), /^\/cridtest\.slice\/cridtest-pod1\.slice\/cri-containerd-/);
      await assertFiles(id, { 'memory.max': String(64 * MIB) });
      const { stdout } = await inUserns.exec(id, ['sh', '-c', 'cat /proc/self/cgroup; cut -c1-30 /proc/self/uid_map']);
      assert.match(stdout, new RegExp(`^0::/\\n +0 +${GIVEN_ID}`));
      await inUserns.remove();
    });

    test('privileged: the node’s cgroup namespace, writable, and the node’s own mount stays as it is', async () => {
      const before = await cgroupMount();
      assert.match(before, /nsdelegate.*memory_recursiveprot/);
      const privileged = await runPod(suite.crid, suite.stack, podPart({ privileged: true }), handler);
      const id = await privileged.run(context({ privileged: true, namespace_options: { pid: CONTAINER } }));
      const { stdout } = await privileged.exec(id, [
        'sh',
        '-c',
        'cat /proc/1/cgroup; grep " /sys/fs/cgroup " /proc/self/mounts',
      ]);
      assert.match(stdout, new RegExp(`^0::/cridtest\\.slice/cridtest-pod1\\.slice/cri-containerd-${id}\\.scope`));
      assert.match(stdout, / cgroup2 rw,/);
      assert.equal(await cgroupMount(), before);
      await privileged.remove();
    });
  });
}

test('without a parent: in system.slice', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.run();
  assert.equal(await cgroupOf(suite.crid, id), `/system.slice/cri-containerd-${id}.scope`);
  await pod.remove();
});

test('a parent that is not a slice is refused', async () => {
  const pod = runPod(suite.crid, suite.stack, { linux: { cgroup_parent: '/kubepods/pod1' } });
  await assertFails(pod, 'INVALID_ARGUMENT', 'config.linux.cgroup_parent', '.slice');
});

/** The hook of the suite runs first and has removed the pods. */
after(async () => {
  const units = await run('systemctl', ['list-units', '--no-legend', '--plain', 'cri-containerd-*.scope']);
  assert.equal(units, '', 'no scope is left');
});

/**
 * Asserts the contents of the container's own cgroup files. (Not with crun: it puts the container into a child of the
 * scope, with limits that systemd does not know or knows less exactly: it takes the sum of memory and swap for swap
 * alone.)
 */
async function assertFiles(id: string, files: Readonly<Record<string, string | RegExp>>): Promise<void> {
  const names = Object.keys(files);
  const cmd = ['cat', ...names.map((name) => `/sys/fs/cgroup/${name}`)];
  const { stdout } = await suite.crid.runtime.execSync({ container_id: id, cmd, timeout: 60n });
  const values = Buffer.from(stdout).toString().trim().split('\n');
  for (const [index, expected] of Object.values(files).entries()) {
    if (expected instanceof RegExp) assert.match(values[index] ?? '', expected, names[index]);
    else assert.equal(values[index], expected, names[index]);
  }
}

/** The node's mount of cgroup v2. Its options apply to every mount in its cgroup namespace. */
const cgroupMount = (): Promise<string> => run('grep', [' /sys/fs/cgroup ', '/proc/self/mounts']);

const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });
