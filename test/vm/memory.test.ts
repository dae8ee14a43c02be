import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ContainerState, type ContainerStatus } from '../../generated/runtime/v1/api.js';
import { until } from '../../tools/stack/wait.js';
import { runPod } from '../harness/pod.js';
import { startSuite } from '../integration/rpc/suite.js';
import { cgroupOf, HANDLERS } from './scopes.js';

/** Tests of what cgroup v2 has and v1 does not: OOM kills by group, separate swap, pressure. */
const suite = startSuite();

const MIB = 1024n * 1024n;
const PARENT = '/cridmemory.slice/cridmemory-pod1.slice';
const END_LIMIT_MS = 120_000;
const OOMS = 5;
const GREEDY = 'exec tail /dev/zero';
const limited = (script: string, bytes = 16n * MIB) => ({
  command: ['sh', '-c', script],
  linux: { resources: { memory_limit_in_bytes: bytes } },
});

for (const handler of HANDLERS) {
  describe(handler, () => {
    test('OOMKilled, every time, although systemd takes the cgroup away with its last process', async () => {
      const pod = await runPod(suite.crid, suite.stack, { linux: { cgroup_parent: PARENT } }, handler);
      const outcomes = [];
      for (let count = 0; count < OOMS; count++) {
        const { exit_code: code, reason } = await ended(await pod.run(limited(GREEDY)));
        outcomes.push(`${code} ${reason}`);
      }
      assert.deepEqual(outcomes, Array(OOMS).fill('137 OOMKilled'));
      await pod.remove();
    });

    test('a manual kill is not an OOM, and an OOM of one process does not end the container', async () => {
      const pod = await runPod(suite.crid, suite.stack, { linux: { cgroup_parent: PARENT } }, handler);
      const byHand = await ended(await pod.run(limited('kill -9 $$')));
      assert.deepEqual([byHand.exit_code, byHand.reason], [137, 'Error']);
      const survivor = await ended(await pod.run(limited('(exec tail /dev/zero); echo $? >/dev/null; exit 3')));
      assert.equal(survivor.exit_code, 3);
      await pod.remove();
    });

    test('memory.oom.group: the kernel kills all of it', async () => {
      const pod = await runPod(suite.crid, suite.stack, { linux: { cgroup_parent: PARENT } }, handler);
      const container = limited('(exec tail /dev/zero); sleep 1000');
      const unified = { 'memory.oom.group': '1' };
      const { exit_code: code, reason } = await ended(
        await pod.run({ ...container, linux: { resources: { ...container.linux.resources, unified } } }),
      );
      assert.deepEqual([code, reason], [137, 'OOMKilled']);
      await pod.remove();
    });

    test('statistics are those of the kernel: memory, swap, processes, pressure', async () => {
      const { runtime } = suite.crid;
      const pod = await runPod(suite.crid, suite.stack, { linux: { cgroup_parent: PARENT } }, handler);
      const id = await pod.run(limited('while :; do :; done', 64n * MIB));
      const scope = join('/sys/fs/cgroup', await cgroupOf(suite.crid, id));
      const read = async (name: string): Promise<string> => (await readFile(join(scope, name), 'utf8')).trim();
      const micros = (text: string, pattern: RegExp): bigint => BigInt(pattern.exec(text)?.[1] ?? -1) * 1000n;

      const before = { cpu: await read('cpu.stat'), pressure: await read('cpu.pressure') };
      const { stats } = await runtime.containerStats({ container_id: id });
      const after = { cpu: await read('cpu.stat'), pressure: await read('cpu.pressure') };

      between(
        stats!.cpu!.usage_core_nano_seconds!.value,
        micros(before.cpu, /usage_usec (\d+)/),
        micros(after.cpu, /usage_usec (\d+)/),
      );
      between(
        stats!.cpu!.psi!.Some!.Total,
        micros(before.pressure, /^some .*total=(\d+)/m),
        micros(after.pressure, /^some .*total=(\d+)/m),
      );
      assert.ok(stats!.cpu!.psi!.Full, 'stalls of all its processes');
      assert.ok(stats!.memory!.psi!.Some && stats!.memory!.psi!.Full);
      assert.ok(stats!.io!.psi!.Some && stats!.io!.psi!.Full);
      assert.equal(stats!.memory!.available_bytes!.value + stats!.memory!.working_set_bytes!.value, 64n * MIB);
      const { swap_usage_bytes: swapped, swap_available_bytes: swappable } = stats!.swap!;
      const { stdout: swapMax } = await pod.exec(id, ['cat', '/sys/fs/cgroup/memory.swap.max']);
      assert.deepEqual(
        [swapped!.value, swappable!.value, swapMax.trim()],
        [BigInt(await read('memory.swap.current')), 0n, '0'],
      );

      const { stats: ofPod } = await runtime.podSandboxStats({ pod_sandbox_id: pod.id });
      const { cpu, memory, process: processes, io } = ofPod!.linux!;
      assert.ok(cpu!.usage_core_nano_seconds!.value >= stats!.cpu!.usage_core_nano_seconds!.value);
      assert.ok(memory!.usage_bytes!.value >= stats!.memory!.usage_bytes!.value);
      assert.ok(cpu!.psi!.Some && memory!.psi!.Some && io!.psi!.Some);
      assert.equal(processes!.process_count!.value, 1n, 'the shell; the pause process is not counted');
      await pod.remove();
    });
  });
}

async function ended(id: string): Promise<ContainerStatus> {
  return until(`container ${id} ends`, END_LIMIT_MS, async () => {
    const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
    return status?.state === ContainerState.CONTAINER_EXITED ? status : undefined;
  });
}

const between = (value: bigint, least: bigint, most: bigint): void =>
  assert.ok(0n <= least && least <= value && value <= most, `${least} <= ${value} <= ${most}`);
