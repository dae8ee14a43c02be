import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { until, type MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode, type NodeDump } from '../../harness/memory-node/memory-node.js';
import { CALLER, createApp, runPod } from '../../harness/memory-node/requests.js';
import { faultAt, momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';

const STOP = 'stop container';
const REMOVE = 'remove container';
const POLITE = 'trap "exit 3" TERM; sleep 1000 & wait';
const GRACE_S = 60n;
const REMOVE_STEPS = [
  'wait for exit handling',
  'delete task',
  'close streams',
  'remove files',
  'remove snapshot',
  'delete record',
];

let node: MemoryNode;
let crid: MemoryCrid;
let pod: string;
let app: string;
let withoutContainer: NodeDump;
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
  pod = await runPod(crid);
  withoutContainer = await node.dump();
});
afterEach(() => node.remove());

async function startApp(script?: string): Promise<void> {
  app = await createApp(crid, pod, APP_IMAGE, script);
  await crid.startContainer({ container_id: app }, CALLER);
}

const stop = (timeout: bigint) => crid.stopContainer({ container_id: app, timeout }, CALLER);
const remove = () => crid.removeContainer({ container_id: app }, CALLER);
const exitCode = () => (crid.state.containers.byId(app)?.state as { exitCode?: number }).exitCode;

test('StopContainer sends the stop signal and waits; a process that ends on it is not killed', async () => {
  await startApp(POLITE);
  await stop(GRACE_S);
  assert.deepEqual(stepsOf(crid, STOP), ['send SIGTERM', 'wait for exit']);
  assert.equal(exitCode(), 3);
  await stop(GRACE_S);
  assert.deepEqual(stepsOf(crid, STOP), ['send SIGTERM', 'wait for exit']);
});

test('StopContainer kills a process that ignores the signal once the grace period is over', async () => {
  await startApp();
  await stop(1n);
  assert.deepEqual(stepsOf(crid, STOP), ['send SIGTERM', 'wait for exit', 'send SIGKILL', 'wait for exit']);
  assert.equal(exitCode(), 137);
});

test('a second StopContainer with a shorter grace period joins the first and kills', async () => {
  await startApp();
  const held = crid.steps.hold({ kind: STOP, step: 'send SIGTERM', phase: 'after' });
  const first = stop(GRACE_S);
  (await held)();
  await Promise.all([first, stop(0n)]);
  assert.deepEqual(stepsOf(crid, STOP), ['send SIGTERM', 'wait for exit', 'send SIGKILL', 'wait for exit']);
  assert.equal(exitCode(), 137);
});

for (const moment of momentsOf(STOP, ['send SIGTERM', 'send SIGKILL', 'wait for exit'])) {
  test(`StopContainer that fails ${nameOf(moment)} is finished by a retry`, async () => {
    const script = moment.step === 'send SIGKILL' ? undefined : POLITE;
    await startApp(script);
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(stop(script === undefined ? 0n : GRACE_S), {
      message: new RegExp(`fault injected at ${STOP}: ${moment.step}$`),
    });
    crid.steps.setFault('');
    await stop(0n);
    await until('the exit is handled', () => exitCode() !== undefined);
    await until('the task is deleted', () => node.containerd.dump()['tasks']?.[app] === undefined);
  });
}

test('RemoveContainer of a running container runs its steps in this order, and leaves nothing of it', async () => {
  await startApp();
  await remove();
  assert.deepEqual(stepsOf(crid, REMOVE), REMOVE_STEPS);
  assert.deepEqual(await node.dump(), withoutContainer);
  assert.deepEqual(crid.state.containers.list(), []);
  await remove();
});

test('RemoveContainer of an ended container does not delete its task again', async () => {
  await startApp(POLITE);
  await stop(GRACE_S);
  await remove();
  assert.deepEqual(
    stepsOf(crid, REMOVE),
    REMOVE_STEPS.filter((step) => step !== 'delete task'),
  );
  assert.deepEqual(await node.dump(), withoutContainer);
});

for (const moment of momentsOf(REMOVE, REMOVE_STEPS)) {
  test(`RemoveContainer that fails ${nameOf(moment)} keeps the container, and a retry leaves nothing of it`, async () => {
    await startApp();
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(remove(), { message: new RegExp(`fault injected at ${REMOVE}: ${moment.step}$`) });
    assert.ok(crid.state.containers.byId(app));
    crid.steps.setFault('');
    await remove();
    assert.deepEqual(await node.dump(), withoutContainer);
  });
}

test('RemoveContainer goes through during the grace period of a stop, which then has nothing left to do', async () => {
  await startApp();
  const held = crid.steps.hold({ kind: STOP, step: 'send SIGTERM', phase: 'after' });
  const stopping = stop(GRACE_S);
  (await held)();
  await until('the stop waits', () => stepsOf(crid, STOP).includes('wait for exit'));
  await Promise.all([stopping, remove(), remove()]);
  assert.deepEqual(await node.dump(), withoutContainer);
});
