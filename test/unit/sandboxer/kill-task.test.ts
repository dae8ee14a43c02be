import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withResolvers } from '../../../src/base/async.js';
import { CriError } from '../../../src/base/errors.js';
import type { Containerd, Exit, TaskStatus } from '../../../src/containerd/containerd.js';
import { killAndDeleteTask } from '../../../src/sandboxer/kill-task.js';

const KILLED: Exit = { exitStatus: 137, exitedAtNs: 1n };

/** A containerd with one task, which ends when it is killed while it runs, or thawed. */
function withTask(status: TaskStatus | 'none', failures = 0) {
  const calls: string[] = [];
  const exited = withResolvers<Exit>();
  const called = (name: string): void => {
    calls.push(name);
    if (status === 'none') throw new CriError('NOT_FOUND', 'no such task');
  };
  const tasks = {
    wait: async () => (called('wait'), exited.promise),
    kill: async () => {
      called('kill');
      if (status === 'stopped') throw new CriError('NOT_FOUND', 'process already finished');
      if (status === 'running') exited.resolve(KILLED);
    },
    get: async () => (called('get'), { status }),
    resume: async () => {
      called('resume');
      if (failures-- > 0) throw new CriError('UNAVAILABLE', 'the connection broke');
      exited.resolve(KILLED);
    },
    delete: async () => (calls.push('delete'), status === 'none' ? undefined : KILLED),
  };
  return { calls, containerd: { tasks } as unknown as Pick<Containerd, 'tasks'> };
}

for (const [status, calls, found] of [
  ['running', ['kill', 'wait', 'delete'], true],
  ['stopped', ['kill', 'delete'], true],
  ['none', ['kill', 'delete'], false],
  // Nothing ends until the task is deleted.
  ['created', ['kill', 'wait', 'get', 'delete'], true],
] as const) {
  test(`a task with the status "${status}" is killed and deleted with ${calls.length} calls`, async () => {
    const made = withTask(status);
    assert.deepEqual(await killAndDeleteTask(made.containerd, 'id'), { found, exit: found ? KILLED : undefined });
    assert.deepEqual(made.calls, calls);
  });
}

test('a paused task is thawed after the signal', async () => {
  const { calls, containerd } = withTask('paused');
  assert.deepEqual(await killAndDeleteTask(containerd, 'id'), { found: true, exit: KILLED });
  assert.deepEqual([...new Set(calls)], ['kill', 'wait', 'get', 'resume', 'delete']);
});

test('a thaw that fails is tried again', async () => {
  const { calls, containerd } = withTask('paused', 1);
  assert.deepEqual(await killAndDeleteTask(containerd, 'id'), { found: true, exit: KILLED });
  assert.equal(calls.filter((name) => name === 'resume').length, 2);
});

test('a task whose shim ends during the kill is gone when containerd has forgotten it', async () => {
  const { containerd } = withTask('none');
  let kills = 0;
  containerd.tasks.kill = () => {
    kills++;
    return Promise.reject(
      kills < 3 ? new CriError('UNKNOWN', 'ttrpc: closed') : new CriError('NOT_FOUND', 'no such task'),
    );
  };
  assert.deepEqual(await killAndDeleteTask(containerd, 'id'), { found: false, exit: undefined });
  assert.equal(kills, 3);
});

test('a task that containerd cannot reach is deleted until containerd has forgotten it', async () => {
  const closed = new CriError('UNKNOWN', 'ttrpc: closed');
  const { containerd } = withTask('running');
  containerd.tasks.kill = () => Promise.reject(closed);
  let deletes = 0;
  containerd.tasks.delete = () => (deletes++ === 0 ? Promise.reject(closed) : Promise.resolve(undefined));
  assert.deepEqual(await killAndDeleteTask(containerd, 'id'), { found: false, exit: undefined });
  assert.equal(deletes, 2);
});

test('when such a task cannot be deleted, the reason is that of the kill', async () => {
  const { containerd } = withTask('running');
  containerd.tasks.kill = () => Promise.reject(new CriError('UNKNOWN', 'tasks.kill: ttrpc: closed'));
  containerd.tasks.delete = () => Promise.reject(new CriError('FAILED_PRECONDITION', 'the task runs'));
  await assert.rejects(killAndDeleteTask(containerd, 'id'), { message: 'tasks.kill: ttrpc: closed' });
});
