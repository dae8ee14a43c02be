import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { StartContainerRequest, StartContainerResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import type { SnapshotMount } from '../containerd/containerd.js';
import { taskOptions } from '../containerd/task-options.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { directoryOrigin, programOrigin } from '../spec/args.js';
import { logDirectoryOf } from '../spec/log-path.js';
import { hostIds } from '../spec/user/user-namespace.js';
import { podUserNamespace } from '../state/pod-view.js';
import { recordFact } from '../state/record-fact.js';
import { transition, type Container } from '../state/records.js';
import { asBadCommand, type Origins } from './bad-command.js';
import type { ContainerDeps } from './container-deps.js';
import { deleteTask } from './delete-task.js';

const LIMIT_MS = 5 * 60_000;
/** Allows for a log on a busy disk. A file system that is silent for longer fails the start, and the error names it. */
const OPEN_LIMIT_MS = 15_000;
/** Operations on a pod during which none of its containers may start. */
const STOPS_PODS = ['stop pod sandbox', 'remove pod sandbox'];

/**
 * Starts a created container (CRI StartContainer). FAILED_PRECONDITION when it is not in the state CREATED or its pod
 * is not ready. A later failure leaves the container EXITED with code 128 and the reason StartError.
 */
export const startContainer =
  (deps: ContainerDeps) =>
  async (request: StartContainerRequest, caller: Caller): Promise<StartContainerResponse> => {
    const { id } = deps.state.containers.get(request.container_id, 'container_id');
    let begun = false;
    await deps.operations.run({
      kind: 'start container',
      subject: id,
      key: `container:${id}`,
      fingerprint: '',
      caller,
      limitMs: LIMIT_MS,
      work: (steps) => {
        const container = startable(deps, id);
        begun = true;
        return start(deps, steps, container);
      },
      onFailed: async (error) => {
        if (begun) await recordFailure(deps, id, error);
      },
    });
    return {};
  };

function startable(deps: Pick<ContainerDeps, 'operations' | 'state'>, id: string): Container {
  const container = deps.state.containers.get(id, 'container_id');
  if (container.state.phase !== 'created') {
    throw new CriError('FAILED_PRECONDITION', `container "${id}" is ${container.state.phase}, not created`);
  }
  if (deps.state.pods.find(container.podId, 'pod_sandbox_id')?.state.phase !== 'ready') {
    throw new CriError('FAILED_PRECONDITION', `pod sandbox "${container.podId}" of container "${id}" is not ready`);
  }
  // The container would run on without the pod's network, in a shim that is never ended.
  if (deps.operations.isBusy(`pod:${container.podId}`, STOPS_PODS)) {
    throw new CriError('FAILED_PRECONDITION', `pod sandbox "${container.podId}" of container "${id}" is being stopped`);
  }
  return container;
}

async function start(deps: ContainerDeps, steps: Steps, container: Container): Promise<void> {
  const { id, config } = container;
  const { tasks } = deps.containerd;
  const pod = deps.state.pods.get(container.podId, 'pod_sandbox_id');
  const { runtimePath } = deps.handlers.of(pod);
  const userNamespace = podUserNamespace(pod.config);
  const options = taskOptions(pod.runtime, {
    ioOwner: userNamespace && hostIds(userNamespace, container.user),
    endpoint: pod.endpoint,
  });
  const badCommand = asBadCommand(origins(deps, container));
  const [io, rootfs] = await Promise.all([
    steps.step(
      'open streams',
      (signal) => openStreams(deps, container, signal),
      () => deps.stdio.remove(id),
      { timeoutMs: OPEN_LIMIT_MS },
    ),
    rootfsOf(deps, steps, container),
  ]);
  const created = await steps.step(
    'create task',
    (signal) =>
      tasks
        .create(
          {
            containerId: id,
            rootfs,
            io: { ...io.paths, terminal: config.tty },
            options,
            runtimePath: runtimePath || undefined,
            endpoint: pod.endpoint,
          },
          { signal, timeoutMs: LIMIT_MS },
        )
        .catch(badCommand),
    async () => void (await deleteTask(deps, id)),
  );
  await deps.nri?.start(steps, container, created.pid);
  const startedAtNs = nowNs();
  const { pid } = await steps.step('start task', (signal) =>
    tasks.start({ containerId: id }, { signal, timeoutMs: LIMIT_MS }).catch(badCommand),
  );
  await steps.step('record start', async () => {
    await deps.state.updateContainer(id, (current) => {
      const state = transition(current.state, { kind: 'started', pid, startedAtNs });
      return state === current.state ? current : { ...current, state };
    });
  });
  deps.exits.watch(id);
  await deps.nri?.started(steps, deps.state.containers.get(id, 'container_id'));
}

/** Returns the mounts of the container's snapshot; containerd is asked for them only when crid has restarted since. */
async function rootfsOf(
  deps: Pick<ContainerDeps, 'containerd' | 'preparedRootfs'>,
  steps: Steps,
  { id, config, snapshotter }: Container,
): Promise<readonly SnapshotMount[]> {
  const prepared = deps.preparedRootfs.get(config);
  deps.preparedRootfs.delete(config);
  return (
    prepared ?? steps.step('mount snapshot', (signal) => deps.containerd.snapshots(snapshotter).mounts(id, { signal }))
  );
}

/** Returns the sources of program and directory. After the image has been removed, its config counts as empty. */
function origins(deps: Pick<ContainerDeps, 'images'>, { config, imageId }: Container): Origins {
  const image = deps.images.get(imageId)?.config ?? {};
  return { program: programOrigin(config, image), directory: directoryOrigin(config) };
}

async function openStreams(
  deps: Pick<ContainerDeps, 'config' | 'directories' | 'stdio'>,
  container: Container,
  signal: AbortSignal,
): Promise<{ paths: { stdin: string; stdout: string; stderr: string } }> {
  const { id, config } = container;
  return deps.stdio.open(
    {
      containerId: id,
      fifoDir: join(deps.directories.containerState(id), 'io', randomBytes(5).toString('hex')),
      stdin: config.stdin,
      terminal: config.tty,
      logPath: container.logPath || undefined,
      logDirectory: logDirectoryOf(container),
      maxLineBytes: deps.config.runtime.max_container_log_line_size,
    },
    signal,
  );
}

async function recordFailure(deps: Pick<ContainerDeps, 'log' | 'state'>, id: string, error: CriError): Promise<void> {
  await recordFact(deps, id, (current) => {
    const state = transition(current.state, { kind: 'start-failed', atNs: nowNs(), message: error.message });
    return state === current.state ? current : { ...current, state };
  });
}
