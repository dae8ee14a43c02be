import { CriError, notFound } from '../../../src/base/errors.js';
import type { Exit, Task, Tasks } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import { emit } from './events.js';
import { programOf } from './programs.js';
import type { MemoryTask, Store } from './store.js';
import { notInMemory } from './unused.js';

const SIGKILL = 9;
const SIGTERM = 15;

export function memoryTasks(store: Store, call: Call): Tasks {
  return {
    ...lifecycle(store, call),
    list: (options) =>
      call('tasks.list', '', options, () => [...store.tasks].map(([containerId, task]) => taskOf(containerId, task))),
    deleteExec: notInMemory('tasks.deleteExec'),
    exec: notInMemory('tasks.exec'),
    resizePty: notInMemory('tasks.resizePty'),
    closeIo: notInMemory('tasks.closeIo'),
    update: notInMemory('tasks.update'),
    pids: notInMemory('tasks.pids'),
    pause: notInMemory('tasks.pause'),
    resume: notInMemory('tasks.resume'),
    checkpoint: notInMemory('tasks.checkpoint'),
    metrics: notInMemory('tasks.metrics'),
  };
}

type Lifecycle = Pick<Tasks, 'create' | 'start' | 'delete' | 'get' | 'kill' | 'wait'>;

function lifecycle(store: Store, call: Call): Lifecycle {
  const { tasks, containers } = store;
  return {
    create: ({ containerId, io, endpoint }, options) =>
      call('tasks.create', containerId, options, () => {
        const container = containers.get(containerId);
        if (!container) throw notFound('container', containerId);
        if (tasks.has(containerId)) throw new CriError('ALREADY_EXISTS', `task ${containerId}: already exists`);
        const pid = store.nextPid();
        const program = programOf(container.spec);
        tasks.set(containerId, { pid, io, endpoint, program, status: 'created', exit: undefined, waits: new Set() });
        return { pid };
      }),

    start: ({ containerId }, options) =>
      call('tasks.start', containerId, options, () => {
        const task = existing(store, containerId);
        // runc's shim gives this error no code.
        if (task.status !== 'created') throw new CriError('UNKNOWN', `cannot start a ${task.status} process`);
        task.status = 'running';
        if (task.program.endsWith !== undefined) endTask(store, containerId, task.program.endsWith);
        return { pid: task.pid };
      }),

    delete: (containerId, options) =>
      call('tasks.delete', containerId, options, () => {
        const task = containers.has(containerId) ? tasks.get(containerId) : undefined;
        if (!task) return undefined;
        if (task.status === 'running') throw new CriError('FAILED_PRECONDITION', 'cannot delete a running process');
        if (task.status === 'created') endTask(store, containerId, 128 + SIGKILL);
        tasks.delete(containerId);
        return task.exit;
      }),

    get: ({ containerId }, options) =>
      call('tasks.get', containerId, options, () => taskOf(containerId, existing(store, containerId))),

    kill: ({ containerId, signal }, options) =>
      call('tasks.kill', containerId, options, () => {
        const { status, program } = existing(store, containerId);
        if (status === 'stopped') throw new CriError('NOT_FOUND', 'process already finished');
        if (signal === SIGKILL) endTask(store, containerId, 128 + SIGKILL);
        else if (signal === SIGTERM && program.onSigterm !== undefined) endTask(store, containerId, program.onSigterm);
      }),

    wait: ({ containerId }, options) =>
      call('tasks.wait', containerId, options, () => {
        const { exit, waits } = existing(store, containerId);
        return exit ?? new Promise<Exit>((resolve) => waits.add(resolve));
      }),
  };
}

/** Ends the process of a task. Does nothing when it has ended. */
export function endTask(store: Store, containerId: string, exitStatus: number): void {
  const task = existing(store, containerId);
  if (task.exit) return;
  const exit = { exitStatus, exitedAtNs: store.nowNs() };
  task.exit = exit;
  task.status = 'stopped';
  for (const resolve of task.waits) resolve(exit);
  task.waits.clear();
  emit(store, { kind: 'task-exit', containerId, execId: '', pid: task.pid, exit });
}

/** Returns the task of a container. containerd finds a task only by its container's record. */
function existing({ tasks, containers }: Store, containerId: string): MemoryTask {
  if (!containers.has(containerId)) throw notFound('container', containerId);
  const task = tasks.get(containerId);
  if (!task) throw notFound('task', containerId);
  return task;
}

const taskOf = (containerId: string, { pid, status, io, exit }: MemoryTask): Task => ({
  containerId,
  pid,
  status,
  ...io,
  exitStatus: exit?.exitStatus ?? 0,
  exitedAtNs: exit?.exitedAtNs ?? 0n,
});
