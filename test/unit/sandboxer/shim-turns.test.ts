import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { withResolvers } from '../../../src/base/async.js';
import { CriError } from '../../../src/base/errors.js';
import { collectWaits, type Waits } from '../../../src/base/waits.js';
import type { Tasks } from '../../../src/containerd/containerd.js';
import { withShimTurns } from '../../../src/sandboxer/shim-turns.js';

const ENDED = new CriError('UNKNOWN', 'tasks.create: failed to create shim task: ttrpc: closed: unknown');
/** The text of runc 1.3 for a missing program. */
const NO_PROGRAM = new CriError(
  'UNKNOWN',
  'tasks.create: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container ' +
    'process: error during container init: exec: "/nothing": stat /nothing: no such file or directory',
);
const IO = { stdin: '', stdout: '', stderr: '', terminal: false };
const create = (tasks: Tasks, containerId: string, signal?: AbortSignal): Promise<unknown> =>
  tasks.create({ containerId, rootfs: [], io: IO }, signal ? { signal } : {});

/** Tasks whose calls end when the test says so. The first letter of an id is the pod; `x` has a shim of its own. */
function heldTasks() {
  const begun: string[] = [];
  const ends = new Map<string, (failure?: CriError) => void>();
  const hold = (call: string): Promise<void> => {
    begun.push(call);
    const { promise, resolve, reject } = withResolvers();
    ends.set(call, (failure) => (failure ? reject(failure) : resolve()));
    return promise;
  };
  const held = {
    create: ({ containerId }: { containerId: string }) => hold(`create ${containerId}`).then(() => ({ pid: 1 })),
    delete: (containerId: string) => hold(`delete ${containerId}`).then(() => undefined),
  } as unknown as Tasks;
  const tasks = withShimTurns(held, (id) => (id.startsWith('x') ? undefined : id.charAt(0)));
  const end = async (call: string, failure?: CriError): Promise<void> => {
    ends.get(call)?.(failure);
    await nextTurn();
  };
  return { tasks, begun, end };
}

test("a create waits for the deletes of its pod's containers, and they for it; those of other pods do not", async () => {
  const { tasks, begun, end } = heldTasks();
  const calls = [
    tasks.delete('a1'),
    tasks.delete('a2'),
    create(tasks, 'a3'),
    create(tasks, 'b1'),
    create(tasks, 'x1'),
    tasks.delete('x2'),
  ];
  await nextTurn();
  assert.deepEqual(begun.splice(0).sort(), ['create b1', 'create x1', 'delete a1', 'delete a2', 'delete x2']);
  await end('delete a1');
  assert.deepEqual(begun, []);
  await end('delete a2');
  assert.deepEqual(begun.splice(0), ['create a3']);
  calls.push(tasks.delete('a4'), create(tasks, 'a5'));
  await nextTurn();
  assert.deepEqual(begun, []);
  await end('create a3');
  assert.deepEqual(begun.splice(0), ['delete a4']);
  await end('delete a4');
  assert.deepEqual(begun, ['create a5']);
  for (const call of ['create a5', 'create b1', 'create x1', 'delete x2']) await end(call);
  await Promise.all(calls);
});

test('a create that fails because the shim has ended is sent once more, and only once', async () => {
  const { tasks, begun, end } = heldTasks();
  const first = create(tasks, 'a1');
  await nextTurn();
  await end('create a1', ENDED);
  await end('create a1');
  await first;
  const second = create(tasks, 'a2');
  second.catch(() => undefined);
  await nextTurn();
  await end('create a2', ENDED);
  await end('create a2', ENDED);
  await assert.rejects(second, (error: CriError) => {
    assert.equal(error.code, 'UNAVAILABLE');
    assert.match(error.message, /^the shim has ended during the create: tasks\.create: .*ttrpc: closed/);
    return true;
  });
  const third = create(tasks, 'a3');
  third.catch(() => undefined);
  await nextTurn();
  await end('create a3', NO_PROGRAM);
  await assert.rejects(third, NO_PROGRAM);
  assert.deepEqual(begun, ['create a1', 'create a1', 'create a2', 'create a2', 'create a3']);
});

test('a wait for a turn names the container that has it', async () => {
  const { tasks, end } = heldTasks();
  let waits: Waits | undefined;
  const deleted = tasks.delete('a1');
  const created = collectWaits(
    () => create(tasks, 'a2'),
    (found) => (waits = found),
  );
  await nextTurn();
  assert.equal(waits?.describe(), 'the shim of pod a to delete container a1');
  await end('delete a1');
  await end('create a2');
  await Promise.all([deleted, created]);
});

test('a create that waits ends with its signal, and does not keep the others waiting', async () => {
  const { tasks, begun, end } = heldTasks();
  const deleted = tasks.delete('a1');
  const cancelled = new AbortController();
  const waiting = create(tasks, 'a2', cancelled.signal);
  waiting.catch(() => undefined);
  await nextTurn();
  cancelled.abort(new CriError('CANCELLED', 'enough'));
  await assert.rejects(waiting, /enough/);
  await end('delete a1');
  await deleted;
  const next = create(tasks, 'a3');
  await nextTurn();
  await end('create a3');
  await next;
  assert.deepEqual(begun, ['delete a1', 'create a3']);
});
