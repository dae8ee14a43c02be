import assert from 'node:assert/strict';
import { readFile, readlink } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { NamespaceMode, type NamespaceOption } from '../../../generated/runtime/v1/api.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { pullImage, removeAllPods, type Container, type RunningPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { PINNED_CONFIG, pinnedPod, podInfo } from './pinned-pod.js';

const HOST_ID = 1_000_000;
const LENGTH = 65_536;
const mapping = [{ host_id: HOST_ID, container_id: 0, length: LENGTH }];
const userns = { mode: NamespaceMode.POD, uids: mapping, gids: mapping };
const FILES = ['/', '/bin', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/shm'];

let stack: TestStack;
let crid: Crid;
before(async () => {
  stack = await testStack();
  crid = await startCrid(stack, { config: PINNED_CONFIG });
  await pullImage(crid);
});
after(async () => {
  await removeAllPods(crid);
  await crid.stop();
});

const inUserns = (more: Partial<NamespaceOption> = {}): { linux: NonNullable<Container['linux']> } => ({
  linux: { security_context: { namespace_options: { userns_options: userns, ...more } } },
});

const lines = (text: string): string[] => text.trim().split('\n');
async function inside(pod: RunningPod, id: string, script: string): Promise<string[]> {
  const { stdout, stderr, exitCode } = await pod.exec(id, ['sh', '-c', script]);
  assert.equal(exitCode, 0, stderr);
  return lines(stdout);
}

/** The user of a container's first process, as the node sees it. */
async function userOnNode(id: string): Promise<number> {
  const { info } = await crid.runtime.containerStatus({ container_id: id, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '') as { pid: number };
  return Number(/^Uid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

test('containers share the user namespace of the pod: its mappings, owners of files, execs, also after a restart', async () => {
  const before = await leaks(stack);
  const pod = await pinnedPod(crid, stack, inUserns());
  const { pid, sandboxer } = await podInfo(crid, pod.id);
  assert.deepEqual([pid, sandboxer], [0, 'pinned']);
  const first = await pod.run(inUserns());
  await crid.restart();
  const second = await pod.run(inUserns());
  const look =
    "awk '{print $1, $2, $3}' /proc/self/uid_map /proc/self/gid_map; readlink /proc/self/ns/user; id -u; id -g";
  const [one = [], two = []] = await Promise.all([first, second].map((id) => inside(pod, id, look)));
  assert.deepEqual(one, two);
  const [uids, gids, namespace, uid, gid] = one;
  assert.deepEqual([uids, gids, uid, gid], [`0 ${HOST_ID} ${LENGTH}`, `0 ${HOST_ID} ${LENGTH}`, '0', '0']);
  assert.notEqual(namespace, await readlink('/proc/self/ns/user'));
  assert.deepEqual(
    await inside(pod, second, `touch /new /dev/shm/new; stat -c %u:%g ${FILES.join(' ')} /new /dev/shm/new`),
    [...FILES, '/new', '/dev/shm/new'].map(() => '0:0'),
  );
  assert.deepEqual(await inside(pod, first, 'stat -c %u:%g /dev/shm/new'), ['0:0']);
  assert.deepEqual(await Promise.all([first, second].map(userOnNode)), [HOST_ID, HOST_ID]);
  await pod.remove();
  await assertLeavesNothing(stack, before);
});

test('the user namespace owns the network namespace, and the pod has an address', async () => {
  const before = await leaks(stack);
  const pod = await pinnedPod(crid, stack, inUserns());
  const admin = { ...inUserns().linux.security_context, capabilities: { add_capabilities: ['NET_ADMIN'] } };
  const id = await pod.run({ linux: { security_context: admin } });
  const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  const addresses = (await inside(pod, id, 'ip link set lo down && ip link set lo up && ip a')).join('\n');
  assert.ok(addresses.includes(status?.network?.ip || 'no address'), addresses);
  await pod.remove();
  await assertLeavesNothing(stack, before);
});

test("on the node's network, the user namespace is the pod's too", async () => {
  const before = await leaks(stack);
  const onNode = inUserns({ network: NamespaceMode.NODE });
  const pod = await pinnedPod(crid, stack, onNode);
  assert.equal((await podInfo(crid, pod.id)).sandboxer, 'pinned');
  const ids = [await pod.run(onNode), await pod.run(onNode)];
  const look = "readlink /proc/self/ns/net; readlink /proc/self/ns/user; awk '{print $2}' /proc/self/uid_map";
  const [one = [], two = []] = await Promise.all(ids.map((id) => inside(pod, id, look)));
  assert.deepEqual(one, two);
  assert.deepEqual([one[0], one[2]], [await readlink('/proc/self/ns/net'), String(HOST_ID)]);
  assert.notEqual(one[1], await readlink('/proc/self/ns/user'));
  await pod.remove();
  await assertLeavesNothing(stack, before);
});
