import assert from 'node:assert/strict';
import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { stringify } from 'smol-toml';
import { CgroupDriver, ContainerState } from '../../../generated/runtime/v1/api.js';
import { SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { assertFails } from '../rpc/suite.js';
import { pidOf } from './view.js';

const DIRECTORY = '/crid-test-driver';
const SLICE = '/crid.slice/crid-driver.slice';
const SAMPLE_MS = 100;
const MIB = 1024n * 1024n;

/** Changes of the driver. The change from systemd is tested only on nodes that run systemd. */
const CHANGES = [
  { from: 'cgroupfs', to: 'systemd', parent: DIRECTORY, other: SLICE, told: CgroupDriver.SYSTEMD },
  { from: 'systemd', to: 'cgroupfs', parent: SLICE, other: DIRECTORY, told: CgroupDriver.CGROUPFS },
].filter(({ from }) => from === 'cgroupfs' || SYSTEMD_CGROUPS);

describe('a node whose cgroup driver is changed', { timeout: 240_000 }, () => {
  let stack: TestStack;
  let crid: Crid;
  let nothing: Inventory;

  const configOf = (driver: string): Record<string, object> => ({
    runtime: {
      stats_collect_period: `${SAMPLE_MS}ms`,
      containerd: { runtimes: { runc: { options: { SystemdCgroup: driver === 'systemd' } } } },
    },
  });
  const use = async (driver: string): Promise<void> => {
    await writeFile(join(crid.dir, 'crid.toml'), stringify({ ...configOf(driver), crid: { log_level: 'debug' } }));
    await crid.restart();
  };

  before(async () => {
    stack = await testStack();
    crid = await startCrid(stack, { config: configOf('cgroupfs') });
    await pullImage(crid);
    await (await runPod(crid, stack, { linux: { cgroup_parent: DIRECTORY } })).remove();
    nothing = await leaks(stack);
  });
  afterEach(() => removeAllPods(crid));
  after(async () => {
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
    await removeParent();
  });

  for (const { from, to, parent, other, told } of CHANGES) {
    it(`from ${from} to ${to} keeps its pods, and their containers where they are`, async () => {
      await use(from);
      await assertFails(
        runPod(crid, stack, { linux: { cgroup_parent: other } }),
        ...(['INVALID_ARGUMENT', 'config.linux.cgroup_parent', '"runc"', from] as const),
      );
      const pod = await runPod(crid, stack, { linux: { cgroup_parent: parent } });
      const first = await pod.run();
      const place = await cgroupOf(crid, first);
      assert.ok(place.startsWith(`${parent}/`), place);

      await use(to);
      await setTimeout(20 * SAMPLE_MS);
      assert.deepEqual(await crid.runtime.runtimeConfig({}), { linux: { cgroup_driver: told } });
      await assertFails(
        runPod(crid, stack, { linux: { cgroup_parent: parent } }),
        ...(['INVALID_ARGUMENT', 'config.linux.cgroup_parent', '"runc"', to] as const),
      );
      await assertGoesOn(pod, first, place);

      await pod.remove();
      await assertLeavesNothing(stack, nothing);
    });
  }

  /** Asserts that statistics, updates and a restart of a container work, as a kubelet uses them. */
  async function assertGoesOn(pod: RunningPod, first: string, place: string): Promise<void> {
    const { items } = await crid.runtime.listPodSandbox({});
    assert.deepEqual(
      items.map(({ id }) => id),
      [pod.id],
    );
    await crid.runtime.updateContainerResources({
      container_id: first,
      linux: { memory_limit_in_bytes: 64n * MIB },
    });
    const second = await pod.run({ name: 'second' });
    assert.equal(await cgroupOf(crid, second), place.replaceAll(first, second));
    const { stats } = await crid.runtime.podSandboxStats({ pod_sandbox_id: pod.id });
    assert.equal(stats?.linux?.containers.length, 2);
    assert.ok((stats.linux.memory?.usage_bytes?.value ?? 0n) > 0n, 'the pod uses memory');
    await crid.runtime.stopContainer({ container_id: first, timeout: 0n });
    await until('the container has ended', 30_000, async () =>
      (await crid.runtime.containerStatus({ container_id: first })).status?.state === ContainerState.CONTAINER_EXITED
        ? true
        : undefined,
    );
  }
});

/** The test names the cgroup parent and must remove it, as a kubelet does. */
async function removeParent(): Promise<void> {
  for (const hierarchy of ['', ...(await readdir('/sys/fs/cgroup'))]) {
    await rmdir(join('/sys/fs/cgroup', hierarchy, DIRECTORY)).catch(() => undefined);
  }
}

/** Returns the cgroup of a container's process in the hierarchy of cgroup v2, or of v1's memory controller. */
async function cgroupOf(crid: Crid, containerId: string): Promise<string> {
  const lines = (await readFile(`/proc/${await pidOf(crid, containerId)}/cgroup`, 'utf8')).trim().split('\n');
  const line = lines.find((each) => each.split(':')[1]?.split(',').includes('memory')) ?? lines.at(-1)!;
  return line.split(':').slice(2).join(':');
}
