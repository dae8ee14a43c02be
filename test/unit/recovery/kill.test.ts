import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOptions, Task } from '../../../src/containerd/containerd.js';
import type { Moment } from '../../harness/memory-node/hooks.js';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode, type NodeDump } from '../../harness/memory-node/memory-node.js';
import { CALLER, createApp, runPod } from '../../harness/memory-node/requests.js';
import { momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';
import { assertTruth } from './truth.js';

const POLITE = 'trap "exit 3" TERM; sleep 1000 & wait';

/** A crid that is killed in the middle of `work`, and a next one that takes over. */
interface Scenario {
  readonly kind: string;
  /** Makes the pod and the container that the work is about. */
  readonly prepare: (crid: MemoryCrid) => Promise<Ids>;
  readonly work: (crid: MemoryCrid, ids: Ids) => Promise<unknown>;
  /** The kubelet's next call to the new crid, and what must be true after it. */
  readonly next: (crid: MemoryCrid, ids: Ids) => Promise<unknown>;
}

interface Ids {
  readonly pod: string;
  readonly app: string;
}

/** Runs `work` on a node of its own, with what is on it when nothing has happened yet. */
async function onNode(work: (node: MemoryNode, empty: NodeDump) => Promise<void>): Promise<void> {
  const node = await createMemoryNode();
  try {
    // The first start labels the images.
    await node.start();
    await work(node, await node.dump());
  } finally {
    await node.remove();
  }
}

const none = async (): Promise<Ids> => ({ pod: '', app: '' });
const pod = async (crid: MemoryCrid): Promise<Ids> => ({ pod: await runPod(crid), app: '' });
const created = async (crid: MemoryCrid): Promise<Ids> => {
  const ids = await pod(crid);
  return { ...ids, app: await createApp(crid, ids.pod, APP_IMAGE, POLITE) };
};
const running = async (crid: MemoryCrid): Promise<Ids> => {
  const ids = await created(crid);
  await crid.startContainer({ container_id: ids.app }, CALLER);
  return ids;
};
const phaseOf = (crid: MemoryCrid, { app }: Ids): string | undefined => crid.state.containers.byId(app)?.state.phase;

const SCENARIOS: readonly Scenario[] = [
  {
    kind: 'run pod sandbox',
    prepare: none,
    work: runPod,
    next: async (crid) => assert.equal(crid.state.pods.byId(await runPod(crid))?.state.phase, 'ready'),
  },
  {
    kind: 'create container',
    prepare: pod,
    work: (crid, ids) => createApp(crid, ids.pod, APP_IMAGE),
    next: async (crid, ids) => {
      const app = await createApp(crid, ids.pod, APP_IMAGE);
      await crid.startContainer({ container_id: app }, CALLER);
      assert.equal(phaseOf(crid, { ...ids, app }), 'running');
    },
  },
  {
    kind: 'start container',
    prepare: created,
    work: (crid, { app }) => crid.startContainer({ container_id: app }, CALLER),
    next: async (crid, ids) => {
      if (phaseOf(crid, ids) === 'created') await crid.startContainer({ container_id: ids.app }, CALLER);
      assert.equal(phaseOf(crid, ids), 'running');
    },
  },
  {
    kind: 'stop container',
    prepare: running,
    work: (crid, { app }) => crid.stopContainer({ container_id: app, timeout: 60n }, CALLER),
    next: async (crid, ids) => {
      await crid.stopContainer({ container_id: ids.app, timeout: 0n }, CALLER);
      assert.equal(phaseOf(crid, ids), 'exited');
    },
  },
  {
    kind: 'remove container',
    prepare: running,
    work: (crid, { app }) => crid.removeContainer({ container_id: app }, CALLER),
    next: async (crid, ids) => {
      await crid.removeContainer({ container_id: ids.app }, CALLER);
      assert.equal(phaseOf(crid, ids), undefined);
    },
  },
  {
    kind: 'stop pod sandbox',
    prepare: running,
    work: (crid, ids) => crid.stopPodSandbox({ pod_sandbox_id: ids.pod }, CALLER),
    next: async (crid, ids) => {
      await crid.stopPodSandbox({ pod_sandbox_id: ids.pod }, CALLER);
      assert.deepEqual(crid.state.pods.byId(ids.pod)?.state, { phase: 'not-ready', released: true, failedDetaches: 0 });
      assert.equal(phaseOf(crid, ids), 'exited');
    },
  },
  {
    kind: 'remove pod sandbox',
    prepare: running,
    work: (crid, ids) => crid.removePodSandbox({ pod_sandbox_id: ids.pod }, CALLER),
    next: (crid, ids) => crid.removePodSandbox({ pod_sandbox_id: ids.pod }, CALLER),
  },
];

for (const scenario of SCENARIOS) {
  test(`after a kill at each step of "${scenario.kind}", the next crid has the truth and goes on`, async (t) => {
    for (const moment of momentsOf(scenario.kind, await stepsOfScenario(scenario))) {
      await t.test(nameOf(moment), () =>
        onNode(async (node, empty) => {
          const crid = await node.start();
          const ids = await scenario.prepare(crid);
          await crid.killAt(moment, () => scenario.work(crid, ids));
          const next = await node.start();
          await assertTruth(next, node);
          await scenario.next(next, ids);
          await assertTruth(next, node);
          await removeAll(next);
          assert.deepEqual(await node.dump(), empty);
        }),
      );
    }
  });
}

/** Runs the scenario without a kill and returns its steps. */
async function stepsOfScenario({ kind, prepare, work }: Scenario): Promise<string[]> {
  let steps: string[] = [];
  await onNode(async (node) => {
    const crid = await node.start();
    await work(crid, await prepare(crid));
    steps = stepsOf(crid, kind);
  });
  assert.notDeepEqual(steps, []);
  return steps;
}

/** Runs a pod and is killed before the pod is complete. */
async function leaveHalfMadePod(node: MemoryNode): Promise<void> {
  const crid = await node.start();
  await crid.killAt({ kind: 'run pod sandbox', step: 'record completion', phase: 'before' }, () => runPod(crid));
}

/** Runs a pod with a container, and is killed while both run. */
async function leaveRunning(node: MemoryNode): Promise<Ids> {
  const crid = await node.start();
  const ids = await running(crid);
  await crid.killAt({ kind: 'stop container', step: 'send SIGTERM', phase: 'before' }, () =>
    crid.stopContainer({ container_id: ids.app, timeout: 60n }, CALLER),
  );
  return ids;
}

test('a pod that was not finished is gone after the next start, and a retry makes another one', () =>
  onNode(async (node, empty) => {
    await leaveHalfMadePod(node);
    const next = await node.start();
    assert.deepEqual(await node.dump(), empty);
    assert.deepEqual(next.state.pods.list(), []);
    assert.ok(await runPod(next));
  }));

test('after a second kill, at each step of undoing a pod, the next start undoes it', async (t) => {
  const kinds = ['undo pod sandbox', 'remove pod sandbox'];
  let moments: Moment[] = [];
  await onNode(async (node) => {
    await leaveHalfMadePod(node);
    const undoing = await node.start();
    moments = kinds.flatMap((kind) => momentsOf(kind, stepsOf(undoing, kind)));
  });
  assert.deepEqual(new Set(moments.map(({ kind }) => kind)), new Set(kinds));
  for (const moment of moments) {
    await t.test(`${moment.kind}: ${nameOf(moment)}`, () =>
      onNode(async (node, empty) => {
        await leaveHalfMadePod(node);
        await node.start({ killAt: moment });
        await node.start();
        assert.deepEqual(await node.dump(), empty);
      }),
    );
  }
});

test('a container that ended while crid was away has exited with its own code, and its task is deleted', () =>
  onNode(async (node) => {
    const { app } = await leaveRunning(node);
    node.containerd.exit(app, 5);
    const next = await node.start();
    await assertTruth(next, node);
    const { reason, exitCode } = next.state.containers.byId(app)?.state as { reason: string; exitCode: number };
    assert.deepEqual({ reason, exitCode }, { reason: 'Error', exitCode: 5 });
    assert.equal(node.containerd.dump()['tasks']?.[app], undefined);
  }));

/** Starts a container and is killed before its record says that it runs. */
async function leaveUnrecordedStart(node: MemoryNode): Promise<Ids> {
  const crid = await node.start();
  const ids = await created(crid);
  await crid.killAt({ kind: 'start container', step: 'start task', phase: 'after' }, () =>
    crid.startContainer({ container_id: ids.app }, CALLER),
  );
  return ids;
}

test('the first call finds a container running whose start was not recorded', () =>
  onNode(async (node) => {
    const { app } = await leaveUnrecordedStart(node);
    assert.equal((await node.start()).firstPhases.get(app), 'running');
  }));

test('the first call finds it running also when containerd lists its tasks late', (t) =>
  onNode(async (node) => {
    const { app } = await leaveUnrecordedStart(node);
    const client = node.containerd.connect();
    const list = (options: CallOptions = {}): Promise<Task[]> => sleep(5_000, [], options);
    t.mock.method(node.containerd, 'connect', () => ({ ...client, tasks: { ...client.tasks, list } }));
    assert.equal((await node.start()).firstPhases.get(app), 'running');
  }));

test('the task of a container whose exit was recorded is deleted', () =>
  onNode(async (node) => {
    const { app } = await leaveRunning(node);
    node.containerd.exit(app, 5);
    await node.start();
    // As after a kill between the record of the exit and the delete of the task.
    const io = { stdin: '', stdout: '', stderr: '', terminal: false };
    await node.containerd.connect().tasks.create({ containerId: app, rootfs: [], io });
    node.containerd.exit(app, 5);
    await assertTruth(await node.start(), node);
    assert.equal(node.containerd.dump()['tasks']?.[app], undefined);
  }));

test('a pod whose pause process ended while crid was away is not ready, and can be removed', () =>
  onNode(async (node, empty) => {
    const ids = await leaveRunning(node);
    node.containerd.exit(ids.pod, 137);
    const next = await node.start();
    assert.equal(next.state.pods.byId(ids.pod)?.state.phase, 'not-ready');
    assert.equal(phaseOf(next, ids), 'running');
    await removeAll(next);
    assert.deepEqual(await node.dump(), empty);
  }));

async function removeAll(crid: MemoryCrid): Promise<void> {
  for (const { id } of crid.state.pods.list()) await crid.removePodSandbox({ pod_sandbox_id: id }, CALLER);
  await crid.idle();
}
