import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamespaceMode, type LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { runPod } from '../../harness/pod.js';
import { isV2 } from '../rpc/cgroup.js';
import { assertFails, startSuite } from '../rpc/suite.js';

const suite = startSuite({ withPod: true });
const MIB = 1024 * 1024;
const UNKNOWN = 'f'.repeat(64);

const update = (id: string, linux: Parameters<typeof suite.crid.runtime.updateContainerResources>[0]['linux']) =>
  suite.crid.runtime.updateContainerResources({ container_id: id, linux });
const shown = async (id: string): Promise<LinuxContainerResources | undefined> =>
  (await suite.crid.runtime.containerStatus({ container_id: id })).status?.resources?.linux;
const memory = async (id: string): Promise<string> => {
  const script = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null';
  return (await suite.pod.exec(id, ['sh', '-c', script])).stdout.trim();
};
const limited = {
  linux: { resources: { memory_limit_in_bytes: BigInt(64 * MIB), cpu_shares: 300n, oom_score_adj: 321n } },
};

test('an update reaches the cgroup, the status and the stored spec; other values stay', async () => {
  const security_context = { namespace_options: { pid: NamespaceMode.CONTAINER } };
  const id = await suite.pod.run({ linux: { ...limited.linux, security_context } });
  await update(id, {
    memory_limit_in_bytes: BigInt(96 * MIB),
    cpu_quota: 50_000n,
    cpu_period: 100_000n,
    oom_score_adj: 5n,
  });
  assert.equal(await memory(id), String(96 * MIB));
  // A running process keeps the score that it was started with.
  assert.equal((await suite.pod.exec(id, ['cat', '/proc/1/oom_score_adj'])).stdout, '321\n');
  const { memory_limit_in_bytes, cpu_quota, cpu_shares, oom_score_adj } = (await shown(id))!;
  assert.deepEqual(
    { memory_limit_in_bytes, cpu_quota, cpu_shares, oom_score_adj },
    { memory_limit_in_bytes: BigInt(96 * MIB), cpu_quota: 50_000n, cpu_shares: 300n, oom_score_adj: 321n },
  );
  await suite.crid.restart();
  assert.equal((await shown(id))?.memory_limit_in_bytes, BigInt(96 * MIB));
});

test('an update before the start applies after it', async () => {
  const id = await suite.pod.create(limited);
  await update(id, { memory_limit_in_bytes: BigInt(80 * MIB) });
  await suite.crid.runtime.startContainer({ container_id: id });
  assert.equal(await memory(id), String(80 * MIB));
});

test('an update that the kernel refuses changes nothing, also in containerd', async () => {
  const id = await suite.pod.run(limited);
  // With cgroup v2, a limit below the current usage is not an error: the kernel reclaims memory, and kills if that is
  // not enough.
  if (!isV2) await assert.rejects(update(id, { memory_limit_in_bytes: 4096n, cpu_shares: 999n }));
  await assert.rejects(update(id, { cpuset_cpus: '4000' }));
  assert.equal(await memory(id), String(64 * MIB));
  assert.deepEqual(await shown(id), {
    ...(await shown(id)),
    memory_limit_in_bytes: BigInt(64 * MIB),
    cpu_shares: 300n,
  });
  const { info } = await suite.crid.runtime.containerStatus({ container_id: id, verbose: true });
  const spec = JSON.parse(info['info'] ?? '{}') as { runtimeSpec?: { linux: { resources: { cpu: object } } } };
  assert.deepEqual(spec.runtimeSpec?.linux.resources.cpu, { shares: 300 });
});

test('an update that is refused half-way sets no limit on an unlimited container', async () => {
  const id = await suite.pod.run({});
  const unlimited = await memory(id);
  // The kernel accepts no quota below 1 ms. Runtimes write the memory limit before the quota.
  await assert.rejects(update(id, { memory_limit_in_bytes: BigInt(64 * MIB), cpu_quota: 1n }));
  assert.equal(await memory(id), unlimited);
});

test('updates without a change, of exited containers, and invalid updates', async () => {
  const id = await suite.pod.run({ ...limited, command: ['true'] });
  await update(id, undefined);
  await suite.crid.runtime.stopContainer({ container_id: id, timeout: 0n });
  await update(id, { cpu_shares: 400n });
  assert.equal((await shown(id))?.cpu_shares, 400n);
  await assertFails(update(UNKNOWN, { cpu_shares: 2n }), 'NOT_FOUND', UNKNOWN);
  await assertFails(update(id, { cpuset_cpus: '0; rm' }), 'INVALID_ARGUMENT', 'linux.cpuset_cpus');
  const unified = isV2 ? { 'memory.high/..': '1' } : { 'memory.high': '1' };
  await assertFails(update(id, { unified }), 'INVALID_ARGUMENT', 'unified');
});

test('the resources of a pod are kept across a restart', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const resources = { cpu_shares: 1234n, memory_limit_in_bytes: 2n ** 60n };
  await runtime.updatePodSandboxResources({ pod_sandbox_id: pod.id, resources, overhead: { cpu_shares: 7n } });
  const info = async (): Promise<string> =>
    (await runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true })).info['info'] ?? '';
  const resourcesIn = (text: string): unknown => {
    const told = JSON.parse(text) as { overhead: unknown; resources: { cpu_shares: number } };
    return [told.overhead, told.resources.cpu_shares];
  };
  const before = resourcesIn(await info());
  assert.deepEqual(before, [{ cpu_shares: 7 }, 1234]);
  await suite.crid.restart();
  assert.deepEqual(resourcesIn(await info()), before);
  assert.match(await info(), /1152921504606846976/);
  await assertFails(runtime.updatePodSandboxResources({ pod_sandbox_id: UNKNOWN }), 'NOT_FOUND', UNKNOWN);
  await assertFails(
    runtime.updatePodSandboxResources({ pod_sandbox_id: pod.id, overhead: { cpu_period: -1n } }),
    'INVALID_ARGUMENT',
    'overhead.cpu_period',
  );
  await pod.remove();
});
