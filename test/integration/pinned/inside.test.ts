import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { NamespaceMode, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { pullImage, removeAllPods } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { PINNED_CONFIG, pinnedPod, podInfo } from './pinned-pod.js';

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

const SHARED = ['net', 'ipc', 'uts'];
const KINDS = ['shim', 'task', 'snapshot', 'container'] as const;
const childrenOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );
const lines = (text: string): string[] => text.trim().split('\n');

test('a pod has no process, no snapshot and no container until its first container starts', async () => {
  const before = await leaks(stack);
  const pod = await pinnedPod(crid, stack);
  const after = await leaks(stack);
  const added = (kind: (typeof KINDS)[number]): string[] =>
    after[kind].filter((entry) => !before[kind].includes(entry));
  assert.deepEqual([childrenOf(crid.pid()), ...KINDS.map(added)], [[], ...KINDS.map(() => [])]);
  const bindings = join(stack.containerd.state, 'io.containerd.grpc.v1.cri', 'sandboxes', pod.id, 'pinned-namespaces');
  assert.equal((statSync(bindings).mode & 0o7777).toString(8), '700');
  const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.equal(status?.state, PodSandboxState.SANDBOX_READY);
  assert.match(status?.network?.ip ?? '', /^\d+\.\d+\.\d+\.\d+$/);
  const info = await podInfo(crid, pod.id);
  assert.deepEqual([info.pid, info.sandboxer, info.netNamespaceClosed], [0, 'pinned', false]);
  await pod.remove();
  await assertLeavesNothing(stack, before);
});

test('containers share the network, IPC and UTS namespaces, with host name and sysctls, and no process namespace', async () => {
  const before = await leaks(stack);
  const sysctls = ['kernel/shm_rmid_forced', 'net/ipv4/ip_forward', 'net/core/somaxconn'].map(
    (name) => `/proc/sys/${name}`,
  );
  const ofHost = (): string[] => [hostname(), ...sysctls.map((path) => readFileSync(path, 'utf8'))];
  const host = ofHost();
  const pod = await pinnedPod(crid, stack, {
    hostname: 'inside',
    linux: { sysctls: { 'kernel.shm_rmid_forced': '1', 'net.ipv4.ip_forward': '0', 'net.core.somaxconn': '333' } },
  });
  const [one, two] = [await pod.run(), await pod.run()];
  const look = ['sh', '-c', `readlink ${SHARED.map((type) => `/proc/self/ns/${type}`).join(' ')}; hostname`];
  const seen = await Promise.all([one, two].map(async (id) => lines((await pod.exec(id, look)).stdout)));
  assert.deepEqual(seen[0], seen[1]);
  assert.equal(seen[0]?.at(-1), 'inside');
  assert.deepEqual(ofHost(), host);
  assert.deepEqual(lines((await pod.exec(two, ['cat', ...sysctls])).stdout), ['1', '0', '333']);
  assert.match((await pod.exec(one, ['cat', '/proc/1/comm'])).stdout, /^sh/);
  assert.match((await pod.exec(one, ['cat', '/etc/hostname'])).stdout, /^inside$/m);
  const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.ok((await pod.exec(two, ['ip', 'a'])).stdout.includes(status?.network?.ip ?? 'no address'));
  await pod.remove();
  await assertLeavesNothing(stack, before);
});

test("namespaces of the host: the pod's containers join none of its own", async () => {
  const before = await leaks(stack);
  const options = { network: NamespaceMode.NODE, ipc: NamespaceMode.NODE, pid: NamespaceMode.NODE };
  const pod = await pinnedPod(crid, stack, { linux: { security_context: { namespace_options: options } } });
  assert.equal((await podInfo(crid, pod.id)).sandboxer, 'pinned');
  const id = await pod.run({ linux: { security_context: { namespace_options: options } } });
  assert.equal((await pod.exec(id, ['hostname'])).stdout.trim(), hostname());
  await crid.restart();
  assert.equal((await podInfo(crid, pod.id)).processStatus, 'running');
  await pod.remove();
  await assertLeavesNothing(stack, before);
});

test('a pod that shares its process namespace gets a pause container by itself', async () => {
  const before = await leaks(stack);
  const options = { pid: NamespaceMode.POD };
  const pod = await pinnedPod(crid, stack, { linux: { security_context: { namespace_options: options } } });
  const info = await podInfo(crid, pod.id);
  assert.equal(info.sandboxer, 'pause');
  assert.ok(info.pid > 0);
  const id = await pod.run({ linux: { security_context: { namespace_options: options } } });
  assert.equal((await pod.exec(id, ['cat', '/proc/1/comm'])).stdout, 'pause\n');
  await crid.restart();
  assert.equal((await podInfo(crid, pod.id)).sandboxer, 'pause');
  await pod.remove();
  await assertLeavesNothing(stack, before);
});
