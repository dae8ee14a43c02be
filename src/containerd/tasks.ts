import { TasksDefinition, type DeleteResponse } from '../../generated/containerd/services/tasks/v1/tasks.js';
import { Status, type Process } from '../../generated/containerd/types/task/task.js';
import { wireAny } from './any.js';
import { CriError } from '../base/errors.js';
import { sleep } from '../base/time.js';
import { withOptions, withoutLimit, type ClientOf, type ServiceClient } from './connection.js';
import type { Exit, SnapshotMount, Task, TaskIo, Tasks, TaskStatus } from './containerd.js';
import { present, unlessGone } from './answers.js';
import { timestampNs } from './wire-time.js';

export function createTasks(clientOf: ClientOf): Tasks {
  const client = clientOf(TasksDefinition);
  return { ...lifecycle(client), ...inspection(client), ...control(client), ...freezing(client) };
}

/**
 * containerd waits 2 s for a shim (`io.containerd.timeout.task.state`) and then returns UNKNOWN without an error. In
 * containerd 2.1, a shim that creates a container does not respond to other calls until the OCI runtime is done.
 */
const ASK_AGAIN_MS = 100;
const SILENT_SHIM_MS = 10_000;

const silentShim = ({ containerId }: Target): CriError =>
  new CriError('UNAVAILABLE', `the shim of task "${containerId}" does not answer`);

type TasksClient = ServiceClient<TasksDefinition>;
type Target = { containerId: string; execId?: string | undefined };

const lifecycle = (
  client: TasksClient,
): Pick<Tasks, 'create' | 'start' | 'exec' | 'wait' | 'delete' | 'deleteExec'> => ({
  create: async ({ containerId, rootfs, io, options: runtimeOptions, runtimePath, endpoint }, options) => {
    const request = {
      container_id: containerId,
      rootfs: rootfs.map(wireMount),
      ...wireIo(io),
      options: wireAny(runtimeOptions),
      runtime_path: runtimePath ?? '',
      task_api_address: endpoint?.address ?? '',
      task_api_version: endpoint?.version ?? 0,
    };
    return { pid: (await client.create(request, withOptions(options))).pid };
  },

  start: async (target, options) => ({ pid: (await client.start(wireTarget(target), withOptions(options))).pid }),

  exec: async ({ containerId, execId, io, spec }, options) => {
    const request = { container_id: containerId, exec_id: execId, ...wireIo(io), spec: wireAny(spec) };
    await client.exec(request, withOptions(options));
  },

  wait: async (target, options) => exitOf(await client.wait(wireTarget(target), withoutLimit(options))),

  delete: async (containerId, options) =>
    exitOrGone(await unlessGone(client.delete({ container_id: containerId }, withOptions(options)))),

  deleteExec: async (target, options) =>
    exitOrGone(await unlessGone(client.deleteProcess(wireTarget(target), withOptions(options)))),
});

const inspection = (client: TasksClient): Pick<Tasks, 'get' | 'list' | 'pids' | 'metrics'> => ({
  get: async (target, options) => {
    for (const startedMs = performance.now(); ; await sleep(ASK_AGAIN_MS, options?.signal)) {
      const { process } = await client.get(wireTarget(target), withOptions(options));
      // For an exec, containerd returns the id of the process, not of the container.
      const task = { ...taskOf(present(process, 'tasks.get')), containerId: target.containerId };
      if (task.status !== 'unknown') return task;
      if (performance.now() - startedMs > (options?.timeoutMs ?? SILENT_SHIM_MS)) throw silentShim(target);
    }
  },

  list: async (options) => (await client.list({}, withOptions(options))).tasks.map(taskOf),

  pids: async (containerId, options) =>
    (await client.listPids({ container_id: containerId }, withOptions(options))).processes.map(({ pid }) => pid),

  metrics: async (filters, options) => {
    const { metrics } = await client.metrics({ filters: [...filters] }, withOptions(options));
    return metrics.map(({ id, data, timestamp }) => ({ id, data, timestampNs: timestampNs(timestamp) }));
  },
});

const control = (client: TasksClient): Pick<Tasks, 'kill' | 'resizePty' | 'closeIo' | 'update'> => ({
  kill: async (target, options) => {
    const request = { ...wireTarget(target), signal: target.signal, all: target.all ?? false };
    await client.kill(request, withOptions(options));
  },

  resizePty: async (target, options) => {
    const request = { ...wireTarget(target), width: target.width, height: target.height };
    await client.resizePty(request, withOptions(options));
  },

  closeIo: async (target, options) => {
    await client.closeIO({ ...wireTarget(target), stdin: true }, withOptions(options));
  },

  update: async ({ containerId, resources, annotations }, options) => {
    const request = { container_id: containerId, resources: wireAny(resources), annotations: annotations ?? {} };
    await client.update(request, withOptions(options));
  },
});

const freezing = (client: TasksClient): Pick<Tasks, 'pause' | 'resume' | 'checkpoint'> => ({
  pause: async (containerId, options) => void (await client.pause({ container_id: containerId }, withOptions(options))),

  resume: async (containerId, options) =>
    void (await unlessGone(client.resume({ container_id: containerId }, withOptions(options)))),

  checkpoint: async ({ containerId, options: runtimeOptions }, options) => {
    // The duration depends on the amount of memory, so there is no timeout.
    await client.checkpoint({ container_id: containerId, options: wireAny(runtimeOptions) }, withoutLimit(options));
  },
});

const wireTarget = ({ containerId, execId }: Target) => ({ container_id: containerId, exec_id: execId ?? '' });

const wireIo = ({ stdin, stdout, stderr, terminal }: TaskIo) => ({ stdin, stdout, stderr, terminal });

export const wireMount = ({ type, source, target, options }: SnapshotMount) => ({
  type,
  source,
  target,
  options: [...options],
});

const exitOf = ({ exit_status, exited_at }: Pick<DeleteResponse, 'exit_status' | 'exited_at'>): Exit => ({
  exitStatus: exit_status,
  exitedAtNs: timestampNs(exited_at),
});

const exitOrGone = (answer: DeleteResponse | undefined): Exit | undefined => answer && exitOf(answer);

const statuses: Readonly<Partial<Record<Status, TaskStatus>>> = {
  [Status.CREATED]: 'created',
  [Status.RUNNING]: 'running',
  [Status.STOPPED]: 'stopped',
  [Status.PAUSED]: 'paused',
  [Status.PAUSING]: 'pausing',
};

const taskOf = (process: Process): Task => ({
  // In a list, a task has its container's id in `id`; `container_id` is empty there.
  containerId: process.container_id === '' ? process.id : process.container_id,
  pid: process.pid,
  status: statuses[process.status] ?? 'unknown',
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  terminal: process.terminal,
  exitStatus: process.exit_status,
  exitedAtNs: timestampNs(process.exited_at),
});
