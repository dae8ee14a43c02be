import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { jsonAny, PROCESS_TYPE_URL, RESOURCES_TYPE_URL } from '../../../src/containerd/any.js';
import { busybox, busyboxProcess, chainId, connect, empty, failure, pullBusybox, snapshotter, specOf } from './lab.js';

const containerd = connect('crid-test-tasks');
const noIo = { stdin: '', stdout: '', stderr: '', terminal: false };

before(async () => {
  await empty(containerd);
  await pullBusybox(containerd);
});
after(async () => {
  await empty(containerd);
  containerd.close();
});

async function createTask(id: string, ...args: string[]): Promise<number> {
  // Without this label, containerd's garbage collector would delete the snapshot before the container's record refers
  // to it.
  const labels = { 'containerd.io/gc.root': new Date().toISOString() };
  const rootfs = await containerd.snapshots(snapshotter).prepare(id, await chainId(containerd, busybox), labels);
  await containerd.containers.create({
    id,
    labels: {},
    image: busybox,
    runtime: { name: 'io.containerd.runc.v2' },
    spec: specOf(id, ...args),
    snapshotter,
    snapshotKey: id,
    extensions: {},
    sandbox: '',
  });
  return (await containerd.tasks.create({ containerId: id, rootfs, io: noIo })).pid;
}

test('a task runs, is inspected, executes a process, is killed and deleted', async () => {
  const { tasks } = containerd;
  const pid = await createTask('long', 'sh', '-c', 'sleep 1000');
  const target = { containerId: 'long' };
  const status = async () => (({ status, exitStatus }) => ({ status, exitStatus }))(await tasks.get(target));
  assert.deepEqual(await status(), { status: 'created', exitStatus: 0 });
  const waiting = tasks.wait(target);
  assert.deepEqual(await tasks.start(target), { pid });
  assert.deepEqual(await status(), { status: 'running', exitStatus: 0 });
  assert.deepEqual(
    (await tasks.list()).map(({ containerId }) => containerId),
    ['long'],
  );
  assert.ok((await tasks.pids('long')).includes(pid));
  assert.deepEqual(
    (await tasks.metrics(['id==long'])).map(({ id }) => id),
    ['long'],
  );
  await tasks.update({ containerId: 'long', resources: jsonAny(RESOURCES_TYPE_URL, { cpu: { shares: 512 } }) });
  assert.match(await failure(tasks.start(target)), /^[A-Z_]+ tasks\.start: /);

  const exec = { containerId: 'long', execId: 'seven' };
  const spec = jsonAny(PROCESS_TYPE_URL, busyboxProcess('sh', '-c', 'exit 7'));
  await tasks.exec({ ...exec, io: noIo, spec });
  const execWaiting = tasks.wait(exec);
  await tasks.start(exec);
  assert.equal((await execWaiting).exitStatus, 7);
  const { containerId, status: execStatus } = await tasks.get(exec);
  assert.deepEqual([containerId, execStatus], ['long', 'stopped']);
  assert.match(await failure(tasks.kill({ ...exec, signal: 9 })), /^NOT_FOUND tasks\.kill: /);
  assert.equal((await tasks.deleteExec(exec))?.exitStatus, 7);
  assert.equal(await tasks.deleteExec(exec), undefined);

  assert.match(await failure(tasks.delete('long')), /^FAILED_PRECONDITION tasks\.delete: /);
  await tasks.kill({ ...target, signal: 9, all: true });
  const exit = await waiting;
  assert.equal(exit.exitStatus, 137);
  assert.ok(exit.exitedAtNs > 0n);
  assert.deepEqual(await tasks.delete('long'), exit);
  assert.equal(await tasks.delete('long'), undefined);
});

test('exits arrive as events, for the container and for its execs', async () => {
  const { tasks } = containerd;
  const abort = new AbortController();
  const exits: { containerId: string; execId: string; exitStatus: number }[] = [];
  let both = (): void => undefined;
  const seenBoth = new Promise<void>((resolve) => (both = resolve));
  await new Promise<void>((resolve, reject) => {
    containerd.events.subscribe(
      {
        onConnected: async () => resolve(),
        onEvent: (event) => {
          if (event.kind !== 'task-exit') return;
          const { containerId, execId, exit } = event;
          exits.push({ containerId, execId, exitStatus: exit.exitStatus });
          if (exits.length === 2) both();
        },
        onLost: reject,
      },
      abort.signal,
    );
  });
  await createTask('told', 'sleep', '1000');
  await tasks.start({ containerId: 'told' });
  const exec = { containerId: 'told', execId: 'five' };
  await tasks.exec({ ...exec, io: noIo, spec: jsonAny(PROCESS_TYPE_URL, busyboxProcess('sh', '-c', 'exit 5')) });
  await tasks.start(exec);
  await tasks.wait(exec);
  await tasks.kill({ containerId: 'told', signal: 9 });
  await seenBoth;
  abort.abort();
  assert.deepEqual(exits, [
    { containerId: 'told', execId: 'five', exitStatus: 5 },
    { containerId: 'told', execId: '', exitStatus: 137 },
  ]);
});

test('a wait ends with its signal or its time limit, and the process continues', async () => {
  const { tasks } = containerd;
  await createTask('patient', 'sleep', '1000');
  await tasks.start({ containerId: 'patient' });
  const abort = new AbortController();
  const waiting = failure(tasks.wait({ containerId: 'patient' }, { signal: abort.signal }));
  abort.abort();
  assert.equal(await waiting, 'CANCELLED tasks.wait: "patient": cancelled by the caller');
  assert.equal(
    await failure(tasks.wait({ containerId: 'patient' }, { timeoutMs: 50 })),
    'DEADLINE_EXCEEDED tasks.wait: "patient": no answer from containerd within 50 ms',
  );
  assert.equal((await tasks.get({ containerId: 'patient' })).status, 'running');
});

test('a process that the runtime cannot start is an error with the text of the runtime', async () => {
  const created = failure(createTask('missing', 'no-such-program'));
  assert.match(await created, /^[A-Z_]+ tasks\.create: .*no-such-program/);
});
