import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { until, type MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode, type NodeDump } from '../../harness/memory-node/memory-node.js';
import { CALLER, createApp, runPod } from '../../harness/memory-node/requests.js';
import { faultAt, momentsOf, nameOf, stepsOf } from '../../harness/memory-node/steps.js';

const KIND = 'start container';
const STEPS = ['open streams', 'create task', 'start task', 'record start'];

let node: MemoryNode;
let crid: MemoryCrid;
let app: string;
beforeEach(async () => {
  node = await createMemoryNode();
  crid = await node.start();
  app = await createApp(crid, await runPod(crid), APP_IMAGE);
});
afterEach(() => node.remove());

const start = () => crid.startContainer({ container_id: app }, CALLER);
const state = () => crid.state.containers.byId(app)?.state;

test('StartContainer runs its steps in this order, and the container runs', async () => {
  const calls = crid.calls.length;
  await start();
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
  assert.deepEqual(crid.calls.slice(calls, calls + 3), [
    `tasks.create ${app}`,
    `tasks.start ${app}`,
    `containers.update ${app}`,
  ]);
  assert.equal(state()?.phase, 'running');
  const { containerd } = await node.dump();
  assert.equal((containerd['tasks']?.[app] as { status: string }).status, 'running');
});

test('StartContainer asks for the mounts of a snapshot that an earlier crid has prepared', async () => {
  await crid.close();
  crid = await node.start();
  await start();
  assert.deepEqual(stepsOf(crid, KIND), ['open streams', 'mount snapshot', ...STEPS.slice(1)]);
});

for (const moment of momentsOf(KIND, STEPS)) {
  test(`StartContainer that fails ${nameOf(moment)} leaves nothing but the record of the failure`, async () => {
    const before = await node.dump();
    crid.steps.setFault(faultAt(moment));
    await assert.rejects(start(), { message: new RegExp(`fault injected at ${KIND}: ${moment.step}$`) });
    const { reason, exitCode } = state() as { reason: string; exitCode: number };
    assert.deepEqual({ reason, exitCode }, { reason: 'StartError', exitCode: 128 });
    assert.deepEqual(withoutStatus(await node.dump()), withoutStatus(before));
    crid.steps.setFault('');
    await assert.rejects(start(), { code: 'FAILED_PRECONDITION' });
  });
}

test('retries of StartContainer join the running one; a start of a running container is refused', async () => {
  const held = crid.steps.hold({ kind: KIND, step: 'create task', phase: 'before' });
  const first = start();
  const goOn = await held;
  const retry = start();
  goOn();
  await Promise.all([first, retry]);
  assert.deepEqual(stepsOf(crid, KIND), STEPS);
  await assert.rejects(start(), { code: 'FAILED_PRECONDITION' });
});

test('the exit of a process is published, recorded, and then its task is deleted', async () => {
  await start();
  const calls = crid.calls.length;
  node.containerd.exit(app, 3);
  await until('the task is deleted', () => crid.calls.slice(calls).includes(`tasks.delete ${app}`));
  const { reason, exitCode } = state() as { reason: string; exitCode: number };
  assert.deepEqual({ reason, exitCode }, { reason: 'Error', exitCode: 3 });
  assert.deepEqual(
    crid.calls.slice(calls).filter((call) => !call.startsWith('tasks.wait ')),
    [`containers.update ${app}`, `tasks.delete ${app}`],
  );
});

/** Drops the container's status: the extension, and the file that copies it. */
function withoutStatus({ containerd, ...rest }: NodeDump): unknown {
  const containers = { ...containerd['containers'] };
  const { extensions, ...record } = containers[app] as { extensions: Record<string, string> };
  const { 'io.crid.container.status': _status, ...others } = extensions;
  containers[app] = { ...record, extensions: others };
  return { ...rest, containerd: { ...containerd, containers } };
}
