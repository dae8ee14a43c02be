import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { NamespaceMode, NamespaceOption } from '../../../generated/runtime/v1/api.js';
import { parseSpec } from '../../../src/spec/spec-json.js';
import { controllerSpecOf } from '../../../src/state/pod-view.js';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode, type NodeDump } from '../../harness/memory-node/memory-node.js';
import { CALLER, containerRequest, runPinnedPod } from '../../harness/memory-node/requests.js';
import { faultAt, momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';

const RUN = 'run pod sandbox';
const RUN_STEPS = [
  'record sandbox',
  'create lease',
  'create namespaces',
  'add network',
  'make pod files',
  'set sysctls',
  'record completion',
];
const STOP = 'stop pod sandbox';
const REMOVE = 'remove pod sandbox';

let node: MemoryNode;
let crid: MemoryCrid;
let empty: NodeDump;
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
  empty = await node.dump();
});
afterEach(() => node.remove());

/** Creates a container with a process namespace of its own. */
async function createApp(on: MemoryCrid, pod: string): Promise<string> {
  const request = containerRequest(pod, APP_IMAGE);
  const context = request.config!.linux!.security_context!;
  const namespace_options = NamespaceOption.fromPartial({ pid: NamespaceMode.CONTAINER });
  const security_context = { ...context, namespace_options };
  const config = { ...request.config!, linux: { ...request.config!.linux!, security_context } };
  return (await on.createContainer({ ...request, config }, CALLER)).container_id;
}

async function runWithApp(on: MemoryCrid): Promise<{ pod: string; app: string }> {
  const pod = await runPinnedPod(on);
  const app = await createApp(on, pod);
  await on.startContainer({ container_id: app }, CALLER);
  return { pod, app };
}

const phasesOf = (on: MemoryCrid): string[] => on.state.pods.list().map(({ state }) => state.phase);

test('RunPodSandbox runs these steps, and makes no container, task or snapshot', async () => {
  const id = await runPinnedPod(crid);
  assert.deepEqual(stepsOf(crid, RUN), RUN_STEPS);
  const { containerd } = await node.dump();
  const { labels, sandboxer } = containerd['sandboxes']?.[id] as { labels: object; sandboxer: string };
  assert.deepEqual(
    { labels, sandboxer, tasks: containerd['tasks'], containers: containerd['containers'] },
    {
      labels: { name: 'web_shop_uid-of-web_0', 'io.crid.sandboxer': 'pinned' },
      sandboxer: 'podsandbox',
      tasks: {},
      containers: {},
    },
  );
  assert.deepEqual(containerd['snapshots'], empty.containerd['snapshots']);
  assert.deepEqual(crid.state.pods.byId(id)?.state, { phase: 'ready', pid: 0 });
  const calls = crid.calls.filter((call) => /^(tasks|containers|snapshots)\.(create|prepare|start|update)/.test(call));
  assert.deepEqual(calls, []);
});

test("a container joins the pod's bound namespaces and names no sandbox, also after a restart", async () => {
  const id = await runPinnedPod(crid);
  for (const on of [crid, await node.start()]) {
    const app = await createApp(on, id);
    const { sandbox, spec } = (await node.containerd.connect().containers.get(app)) as {
      sandbox: string;
      spec: { value: Uint8Array };
    };
    const { netnsPath } = on.state.pods.byId(id)!;
    const joined = parseSpec(spec).linux.namespaces.filter(({ path }) => path !== undefined);
    assert.deepEqual([sandbox, joined.map(({ type }) => type)], ['', ['uts', 'network']]);
    assert.equal(joined.find(({ type }) => type === 'network')?.path, netnsPath);
    assert.ok(joined[0]?.path?.endsWith(join(id, 'pinned-namespaces', 'uts')));
    await on.removeContainer({ container_id: app }, CALLER);
  }
});

test("the spec of a pod's record is parsed once, not for each container", async () => {
  const pod = crid.state.pods.byId(await runPinnedPod(crid))!;
  const first = controllerSpecOf(pod);
  assert.ok(first?.namespaces.has('uts'));
  assert.equal(controllerSpecOf({ ...pod, state: { phase: 'ready', pid: 1 } }), first);
});

test('a container that wants the process namespace of a pod without one is refused, and nothing is left', async () => {
  const pod = await runPinnedPod(crid);
  const before = await node.dump();
  await assert.rejects(crid.createContainer(containerRequest(pod, APP_IMAGE), CALLER), {
    code: 'FAILED_PRECONDITION',
    message: /neither a process nor a pid namespace/,
  });
  assert.deepEqual(await node.dump(), before);
});

test('after a restart a pod is ready; without one of its bindings it is not, and its network is deleted', async () => {
  const id = await runPinnedPod(crid);
  const { createdAtNs } = crid.state.pods.byId(id)!;
  const next = await node.start();
  assert.deepEqual([phasesOf(next), next.state.pods.byId(id)?.createdAtNs], [['ready'], createdAtNs]);
  const { files } = await node.dump();
  const binding = files.find((file) => file.endsWith('pinned-namespaces/uts'))!;
  await rm(join(node.directory, binding));
  const later = await node.start();
  assert.deepEqual(phasesOf(later), ['not-ready']);
  await later.removePodSandbox({ pod_sandbox_id: id }, CALLER);
  assert.deepEqual(await node.dump(), empty);
});

for (const moment of momentsOf(RUN, RUN_STEPS)) {
  test(`RunPodSandbox that fails ${nameOf(moment)} leaves the node as it was`, async () => {
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(runPinnedPod(crid), { message: new RegExp(`fault injected at ${RUN}: ${moment.step}$`) });
    assert.deepEqual([await node.dump(), crid.state.pods.list()], [empty, []]);
    crid.steps.setFault('');
    assert.ok(await runPinnedPod(crid));
  });

  test(`after a kill ${nameOf(moment)} of RunPodSandbox, the next crid has the pod or nothing`, async () => {
    await crid.killAt(moment, () => runPinnedPod(crid));
    const next = await node.start();
    const isComplete = moment.step === 'record completion' && moment.phase === 'after';
    assert.deepEqual(phasesOf(next), isComplete ? ['ready'] : []);
    const id = await runPinnedPod(next);
    assert.deepEqual(phasesOf(next), ['ready']);
    await next.removePodSandbox({ pod_sandbox_id: id }, CALLER);
    assert.deepEqual(await node.dump(), empty);
  });
}

for (const kind of [STOP, REMOVE]) {
  test(`after a kill at each step of "${kind}", a repeat ends it, and nothing is left`, async (t) => {
    const call = (on: MemoryCrid, pod: string): Promise<unknown> =>
      kind === STOP
        ? on.stopPodSandbox({ pod_sandbox_id: pod }, CALLER)
        : on.removePodSandbox({ pod_sandbox_id: pod }, CALLER);
    const { pod } = await runWithApp(crid);
    await call(crid, pod);
    const moments = momentsOf(kind, stepsOf(crid, kind));
    assert.equal(
      moments.some(({ step }) => step === 'remove pause container'),
      false,
    );
    for (const moment of moments) {
      await t.test(nameOf(moment), async () => {
        const own = await createMemoryNode();
        try {
          const killed = await own.start();
          const before = await own.dump();
          const made = await runWithApp(killed);
          await killed.killAt(moment, () => call(killed, made.pod));
          const next = await own.start();
          await call(next, made.pod);
          assert.equal(phasesOf(next).includes('ready'), false);
          await next.removePodSandbox({ pod_sandbox_id: made.pod }, CALLER);
          assert.deepEqual(await own.dump(), before);
        } finally {
          await own.remove();
        }
      });
    }
  });
}
