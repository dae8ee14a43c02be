import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { createExitHandler } from '../../../src/events/handle-exit.js';
import { createState } from '../../../src/state/state.js';
import { silent } from '../containerd/fake-containerd.js';
import { container } from '../stats/records.js';

/** A running container, and a containerd that records its calls. `file`: whether the status file can be written. */
function scene({ file = false } = {}) {
  const calls: string[] = [];
  const disk = { full: false };
  const containerd = {
    containers: {
      update: async () => {
        calls.push('containers.update');
        if (disk.full) throw new CriError('RESOURCE_EXHAUSTED', 'no space left on device');
      },
    },
    tasks: { delete: async () => (calls.push('tasks.delete'), { exitStatus: 3, exitedAtNs: 1n }) },
  } as unknown as Containerd;
  const state = createState(containerd, { write: async () => file, remove: async () => undefined });
  state.containers.put(container('c', 'pod', { state: { phase: 'running', pid: 7, startedAtNs: 1n } }));
  state.containers.onChange((_before, after) => calls.push(`published ${after?.state.phase}`));
  const stdio = { of: () => undefined, end: async () => undefined };
  const handler = createExitHandler({ log: silent, containerd, state, stdio });
  return { calls, disk, state, handler };
}

const EXIT = { exitStatus: 3, exitedAtNs: 9n };

test('an exit is published, then stored, and then its task is deleted', async () => {
  const { calls, handler } = scene();
  await handler.onExit('c', EXIT);
  assert.deepEqual(calls, ['published exited', 'containers.update', 'tasks.delete']);
});

test('the task is deleted beside the storing when the status file has the exit, which a start reads after a kill', async () => {
  const { calls, disk, handler } = scene({ file: true });
  disk.full = true;
  await assert.rejects(handler.onExit('c', EXIT), { code: 'RESOURCE_EXHAUSTED' });
  assert.deepEqual(calls, ['published exited', 'containers.update', 'tasks.delete']);
  disk.full = false;
  // The retry stores the exit; the task is gone by then.
  await handler.onExit('c', EXIT);
  assert.deepEqual(calls.slice(3), ['containers.update', 'tasks.delete']);
});

test('an exit that cannot be stored is published, and its task stays until it is stored', async () => {
  const { calls, disk, state, handler } = scene();
  disk.full = true;
  await assert.rejects(handler.onExit('c', EXIT), { code: 'RESOURCE_EXHAUSTED' });
  assert.equal(state.containers.byId('c')?.state.phase, 'exited');
  disk.full = false;
  await handler.onExit('c', EXIT);
  assert.deepEqual(calls, ['published exited', 'containers.update', 'containers.update', 'tasks.delete']);
});
