import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cgroupParent, SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { until } from '../../../tools/stack/wait.js';
import { ContainerState, type ContainerFilter, type ContainerStatus } from '../../../generated/runtime/v1/api.js';
import { BUSYBOX, pullImage, runPod, type Container } from '../../harness/pod.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { limitMs } from '../../harness/slowness.js';
import { assertFails, startSuite } from './suite.js';

const suite = startSuite({ withPod: true });
const WAIT_LIMIT_MS = limitMs(20_000);

async function statusOf(id: string): Promise<ContainerStatus> {
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  assert.ok(status);
  return status;
}

type Filter = Parameters<typeof ContainerFilter.fromPartial>[0];

const ended = (id: string): Promise<ContainerStatus> =>
  until(`${id} ends`, WAIT_LIMIT_MS, async () => {
    const status = await statusOf(id);
    return status.state === ContainerState.CONTAINER_EXITED ? status : undefined;
  });

const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });

test('exit codes and reasons: Completed, Error, a signal', async () => {
  const results = [];
  // The first process of a process namespace gets no signal from inside.
  const pod = await runPod(suite.crid, suite.stack, SHARED_PIDS);
  for (const script of ['exit 0', 'exit 3', 'exit 255', 'kill -9 $$', 'kill -SEGV $$']) {
    const id = await pod.run({ command: ['sh', '-c', script], ...SHARED_PIDS });
    const { exit_code: code, reason, started_at: started, finished_at: finished } = await ended(id);
    results.push([script, code, reason, started > 0n && finished >= started]);
    await remove(id);
  }
  await pod.remove();
  assert.deepEqual(results, [
    ['exit 0', 0, 'Completed', true],
    ['exit 3', 3, 'Error', true],
    ['exit 255', 255, 'Error', true],
    ['kill -9 $$', 137, 'Error', true],
    ['kill -SEGV $$', 139, 'Error', true],
  ]);
});

test('OOMKilled: the command itself exceeds its memory limit', async () => {
  // With systemd, the OOM kill is reliably recorded only in the pod's slice, and a kubelet gives each pod its own.
  const linux = SYSTEMD_CGROUPS ? { cgroup_parent: cgroupParent('crid-test-oom') } : {};
  const pod = await runPod(suite.crid, suite.stack, { linux });
  const id = await pod.run({
    command: ['sh', '-c', 'exec tail /dev/zero'],
    linux: { resources: { memory_limit_in_bytes: BigInt(16 * 1024 * 1024) } },
  });
  const { exit_code: code, reason } = await ended(id);
  assert.deepEqual([code, reason], [137, 'OOMKilled']);
  await pod.remove();
});

test('ContainerStatus: the facts of its creation', async () => {
  const imageId = await pullImage(suite.crid);
  const mount = {
    host_path: await mkdtemp(join(suite.stack.dir, 'status-')),
    container_path: '/mnt',
    readonly: true,
    selinux_relabel: false,
    propagation: 0,
    uidMappings: [],
    gidMappings: [],
    recursive_read_only: false,
    image: undefined,
    image_sub_path: '',
    mount_options: ['nodev'],
  };
  const labels = { app: 'x' };
  const annotations = { 'io.example/note': 'y' };
  const id = await suite.pod.run({
    name: 'described',
    metadata: { name: 'described', attempt: 3 },
    labels,
    annotations,
    mounts: [mount],
    linux: { security_context: { run_as_user: { value: 33n } }, resources: { cpu_shares: 512n } },
  });
  const status = await statusOf(id);
  assert.match(status.image_ref, /^docker\.io\/library\/busybox@sha256:[0-9a-f]{64}$/);
  assert.ok(status.created_at > 0n && status.started_at >= status.created_at);
  assert.deepEqual(
    {
      ...status,
      image_ref: '',
      created_at: 0n,
      started_at: 0n,
      image: status.image?.image,
      resources: status.resources?.linux?.cpu_shares,
    },
    {
      id,
      metadata: { name: 'described', attempt: 3 },
      state: ContainerState.CONTAINER_RUNNING,
      created_at: 0n,
      started_at: 0n,
      finished_at: 0n,
      exit_code: 0,
      image: BUSYBOX,
      image_ref: '',
      image_id: imageId,
      reason: '',
      message: '',
      labels,
      annotations,
      mounts: [mount],
      log_path: suite.pod.logPath('described'),
      resources: 512n,
      user: { linux: { uid: 33n, gid: 33n, supplemental_groups: status.user?.linux?.supplemental_groups ?? [] } },
      stop_signal: status.stop_signal,
    },
  );
  await remove(id);
});

test('a mount of an image names the image that is mounted; a retry finds the same container', async () => {
  const imageId = await pullImage(suite.crid);
  const mounted = (image_ref: string): Container => ({
    name: 'with-image',
    mounts: [{ container_path: '/image', image: { image: BUSYBOX, image_ref }, readonly: true }],
  });
  const id = await suite.pod.create(mounted(''));
  assert.deepEqual([await suite.pod.create(mounted('')), await suite.pod.create(mounted('ignored'))], [id, id]);
  const [mount] = (await statusOf(id)).mounts;
  assert.deepEqual([mount?.image?.image, mount?.image?.image_ref], [BUSYBOX, imageId]);
  await remove(id);
});

test('verbose: the pid, the spec and the snapshot', async () => {
  const id = await suite.pod.run({ command: ['sh', '-c', 'sleep 100'] });
  const { info } = await suite.crid.runtime.containerStatus({ container_id: id.slice(0, 16), verbose: true });
  const details = JSON.parse(info['info'] ?? '') as Record<string, unknown> & {
    pid: number;
    runtimeSpec: { process: { args: string[] } };
  };
  assert.ok(details.pid > 1);
  assert.deepEqual(
    {
      pod: details['sandboxID'],
      snapshot: [details['snapshotter'], details['snapshotKey']],
      runtime: details['runtimeType'],
      args: details.runtimeSpec.process.args,
      operations: details['operations'],
    },
    {
      pod: suite.pod.id,
      snapshot: ['overlayfs', id],
      runtime: 'io.containerd.runc.v2',
      args: ['sh', '-c', 'sleep 100'],
      operations: [],
    },
  );
  await remove(id);
});

test('ListContainers: the parts of a filter are ANDed', async () => {
  const other = await runPod(suite.crid, suite.stack);
  const one = await suite.pod.run({ labels: { app: 'a', tier: 'front' } });
  const two = await suite.pod.create({ labels: { app: 'a', tier: 'back' } });
  const three = await other.run({ labels: { app: 'a' } });
  const list = async (filter: Filter): Promise<string[]> =>
    (await suite.crid.runtime.listContainers({ filter })).containers.map(({ id }) => id).sort();
  const running = { state: { state: ContainerState.CONTAINER_RUNNING } };
  assert.deepEqual(
    {
      all: await list({}),
      pod: await list({ pod_sandbox_id: suite.pod.id }),
      podPrefix: await list({ pod_sandbox_id: other.id.slice(0, 12) }),
      labels: await list({ label_selector: { app: 'a', tier: 'back' } }),
      podAndState: await list({ pod_sandbox_id: suite.pod.id, ...running }),
      stateAndLabel: await list({ ...running, label_selector: { tier: 'back' } }),
      prefix: await list({ id: two.slice(0, 10) }),
      prefixAndPod: await list({ id: two.slice(0, 10), pod_sandbox_id: other.id }),
    },
    {
      all: [one, two, three].sort(),
      pod: [one, two].sort(),
      podPrefix: [three],
      labels: [two],
      podAndState: [one],
      stateAndLabel: [],
      prefix: [two],
      prefixAndPod: [],
    },
  );
  const [listed] = (await suite.crid.runtime.listContainers({ filter: { id: one } })).containers;
  const status = await statusOf(one);
  assert.deepEqual(
    [listed?.metadata, listed?.image_id, listed?.created_at, listed?.pod_sandbox_id, listed?.labels],
    [status.metadata, status.image_id, status.created_at, suite.pod.id, status.labels],
  );
  await other.remove();
  await remove(one);
  await remove(two);
});

test('a prefix that begins two ids is INVALID_ARGUMENT', async () => {
  const ids = new Map<string, string>();
  for (;;) {
    const id = await suite.pod.create();
    const digit = id.slice(0, 1);
    const taken = ids.has(digit);
    ids.set(taken ? id : digit, id);
    if (!taken) continue;
    const { runtime } = suite.crid;
    await assertFails(runtime.containerStatus({ container_id: digit }), 'INVALID_ARGUMENT', `"${digit}"`);
    await assertFails(runtime.removeContainer({ container_id: digit }), 'INVALID_ARGUMENT', `"${digit}"`);
    break;
  }
  for (const id of ids.values()) await remove(id);
});
