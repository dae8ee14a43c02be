import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  codeOf,
  containerOf,
  ENDS_WITH_3_ON_SIGTERM,
  ENDS_WITH_7,
  RUNS_UNTIL_SIGKILL,
  specOf,
  type Subject,
} from './subject.js';

const SIGKILL = 9;
const SIGTERM = 15;
const NO_IO = { stdin: '', stdout: '', stderr: '', terminal: false };
/** Time for the shell to set its trap. */
const TRAP_MS = 500;

/** Creates a container with a task that runs the script when it is started. */
export async function createTask({ containerd, snapshotter, image }: Subject, id: string, script: string) {
  await containerd.leases.create(id, {});
  const rootfs = await containerd.snapshots(snapshotter).prepare(id, image.chainId, {}, { lease: id });
  const spec = specOf(id, script);
  await containerd.containers.create(containerOf(id, { spec, snapshotter, snapshotKey: id }));
  return containerd.tasks.create({ containerId: id, rootfs, io: NO_IO });
}

export async function removeTask({ containerd, snapshotter }: Subject, id: string): Promise<void> {
  await containerd.tasks.kill({ containerId: id, signal: SIGKILL, all: true }).catch(() => undefined);
  await containerd.tasks.wait({ containerId: id }, { timeoutMs: 10_000 }).catch(() => undefined);
  await containerd.tasks.delete(id);
  await containerd.containers.delete(id);
  await containerd.snapshots(snapshotter).remove(id);
  await containerd.leases.delete(id);
}

export function testTasks(subject: () => Subject): void {
  test('a task is created, runs, and is stopped; its exit is kept until it is deleted', async () => {
    const { tasks } = subject().containerd;
    const target = { containerId: 'life' };
    const { pid } = await createTask(subject(), 'life', RUNS_UNTIL_SIGKILL);
    const state = async () => {
      const { containerId, status, exitStatus } = await tasks.get(target);
      return { containerId, status, exitStatus };
    };
    assert.deepEqual(await state(), { containerId: 'life', status: 'created', exitStatus: 0 });
    const waiting = tasks.wait(target);
    assert.deepEqual(await tasks.start(target), { pid });
    assert.deepEqual(await state(), { containerId: 'life', status: 'running', exitStatus: 0 });
    assert.deepEqual(
      (await tasks.list()).map(({ containerId, status }) => ({ containerId, status })),
      [{ containerId: 'life', status: 'running' }],
    );
    assert.equal(await codeOf(tasks.delete('life')), 'FAILED_PRECONDITION');
    await tasks.kill({ ...target, signal: SIGTERM });
    assert.equal((await state()).status, 'running');
    await tasks.kill({ ...target, signal: SIGKILL, all: true });
    const exit = await waiting;
    assert.equal(exit.exitStatus, 137);
    assert.ok(exit.exitedAtNs > 0n);
    assert.deepEqual(await tasks.wait(target), exit);
    assert.deepEqual(await state(), { containerId: 'life', status: 'stopped', exitStatus: 137 });
    assert.deepEqual(await tasks.delete('life'), exit);
    assert.equal(await tasks.delete('life'), undefined);
    await removeTask(subject(), 'life');
  });

  test('a process ends with its own exit code, by itself or on a signal', async () => {
    const { tasks } = subject().containerd;
    await createTask(subject(), 'short', ENDS_WITH_7);
    await tasks.start({ containerId: 'short' });
    await createTask(subject(), 'polite', ENDS_WITH_3_ON_SIGTERM);
    await tasks.start({ containerId: 'polite' });
    await sleep(TRAP_MS);
    await tasks.kill({ containerId: 'polite', signal: SIGTERM });
    const [short, polite] = await Promise.all([
      tasks.wait({ containerId: 'short' }),
      tasks.wait({ containerId: 'polite' }),
    ]);
    assert.deepEqual([short.exitStatus, polite.exitStatus], [7, 3]);
    await removeTask(subject(), 'short');
    await removeTask(subject(), 'polite');
  });

  test('a task that was never started is killed and deleted', async () => {
    const { tasks } = subject().containerd;
    await createTask(subject(), 'unborn', RUNS_UNTIL_SIGKILL);
    await tasks.kill({ containerId: 'unborn', signal: SIGKILL, all: true });
    const exit = await tasks.wait({ containerId: 'unborn' }, { timeoutMs: 10_000 });
    assert.equal(exit.exitStatus, 137);
    assert.deepEqual(await tasks.delete('unborn'), exit);
    assert.equal(await codeOf(tasks.get({ containerId: 'unborn' })), 'NOT_FOUND');
    await removeTask(subject(), 'unborn');
  });

  test('a task is found only by the record of its container', async () => {
    const { containers, tasks } = subject().containerd;
    await createTask(subject(), 'lost', RUNS_UNTIL_SIGKILL);
    await tasks.start({ containerId: 'lost' });
    await containers.delete('lost');
    const target = { containerId: 'lost' };
    assert.deepEqual(
      {
        get: await codeOf(tasks.get(target)),
        kill: await codeOf(tasks.kill({ ...target, signal: SIGKILL })),
        wait: await codeOf(tasks.wait(target)),
        deleted: await tasks.delete('lost'),
        listed: (await tasks.list()).map(({ containerId }) => containerId),
      },
      { get: 'NOT_FOUND', kill: 'NOT_FOUND', wait: 'NOT_FOUND', deleted: undefined, listed: ['lost'] },
    );
    await containers.create(containerOf('lost'));
    assert.equal((await tasks.get(target)).status, 'running');
    await removeTask(subject(), 'lost');
  });

  test('calls on tasks fail with these codes', async () => {
    const { tasks } = subject().containerd;
    await createTask(subject(), 'taken', RUNS_UNTIL_SIGKILL);
    const taken = { containerId: 'taken' };
    await tasks.start(taken);
    const missing = { containerId: 'missing' };
    const abort = new AbortController();
    const waiting = codeOf(tasks.wait(taken, { signal: abort.signal }));
    abort.abort();
    assert.deepEqual(
      {
        existing: await codeOf(tasks.create({ ...taken, rootfs: [], io: NO_IO })),
        createOfMissing: await codeOf(tasks.create({ ...missing, rootfs: [], io: NO_IO })),
        missing: await codeOf(tasks.get(missing)),
        startOfMissing: await codeOf(tasks.start(missing)),
        killOfMissing: await codeOf(tasks.kill({ ...missing, signal: SIGKILL })),
        waitOfMissing: await codeOf(tasks.wait(missing)),
        deleteOfMissing: await codeOf(tasks.delete('missing')),
        aborted: await waiting,
        late: await codeOf(tasks.wait(taken, { timeoutMs: 20 })),
        startOfRunning: await codeOf(tasks.start(taken)),
      },
      {
        existing: 'ALREADY_EXISTS',
        createOfMissing: 'NOT_FOUND',
        missing: 'NOT_FOUND',
        startOfMissing: 'NOT_FOUND',
        killOfMissing: 'NOT_FOUND',
        waitOfMissing: 'NOT_FOUND',
        deleteOfMissing: 'no error',
        aborted: 'CANCELLED',
        late: 'DEADLINE_EXCEEDED',
        startOfRunning: 'UNKNOWN',
      },
    );
    await tasks.kill({ ...taken, signal: SIGKILL });
    await tasks.wait(taken);
    assert.deepEqual(
      { kill: await codeOf(tasks.kill({ ...taken, signal: SIGKILL })), start: await codeOf(tasks.start(taken)) },
      { kill: 'NOT_FOUND', start: 'UNKNOWN' },
    );
    await removeTask(subject(), 'taken');
  });
}
