import { join } from 'node:path';
import type { RemoveContainerRequest, RemoveContainerResponse } from '../../generated/runtime/v1/api.js';
import type { Exit } from '../containerd/containerd.js';
import { nowNs } from '../host/syscall/clock.js';
import { removeTree } from '../host/files/files.js';
import { endOf, transition } from '../state/records.js';
import { findRunning } from '../state/require.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { ContainerDeps } from './container-deps.js';
import { deleteTask } from './delete-task.js';

const LIMIT_MS = 5 * 60_000;
/** The container is killed, so nothing is left to checkpoint. */
const CUTS_SHORT = ['checkpoint container'];

/**
 * Removes a container; kills it first if it runs, also during the grace period of a stop (CRI RemoveContainer). Repeats
 * join; removing an unknown container succeeds. After a failure the container stays listed, and a retry goes on from
 * there.
 */
export const removeContainer =
  (deps: ContainerDeps) =>
  async (request: RemoveContainerRequest, caller: Caller): Promise<RemoveContainerResponse> => {
    const container = deps.state.containers.find(request.container_id, 'container_id');
    if (!container) return {};
    await deps.operations.run({
      kind: 'remove container',
      subject: container.id,
      key: `container:${container.id}`,
      fingerprint: '',
      cutsShort: CUTS_SHORT,
      caller,
      limitMs: LIMIT_MS,
      work: (steps) => remove(deps, steps, container.id),
    });
    return {};
  };

async function remove(deps: ContainerDeps, steps: Steps, id: string): Promise<void> {
  const container = deps.state.containers.find(id, 'container_id');
  if (!container) return;
  // The handling of an exit deletes the task itself.
  await steps.step('wait for exit handling', () => deps.exits.handled(id));
  const taken = deps.exits.isTaken(id);
  // Stop the watch: the exit is expected now, and two deletes of one task conflict. If the delete fails, it is watched
  // again.
  deps.exits.forget(id);
  if (!taken) {
    const exit = await steps
      .step('delete task', (signal) => deleteTask(deps, id, signal))
      .catch((thrown: unknown) => {
        if (findRunning(deps.state, id)) deps.exits.watch(id);
        throw thrown;
      });
    // Publish the exit now: the task is gone, so no watch would report it after a later failure.
    if (findRunning(deps.state, id)) publishEnd(deps, id, exit);
  }
  await steps.step('close streams', () => deps.stdio.end(id));
  await deps.nri?.removed(steps, deps.state.containers.byId(id) ?? container);
  const { containers, snapshots } = deps.containerd;
  // In parallel: after a kill, the next start sweeps what is left of a container without a record.
  await Promise.all([
    steps.step('remove files', (signal) => removeFiles(deps, id, signal)),
    steps.step('remove snapshot', (signal) => snapshots(container.snapshotter).remove(id, { signal })),
    steps.step('delete record', (signal) => containers.delete(id, { signal })),
  ]);
  deps.state.containers.delete(id);
}

function publishEnd({ state }: Pick<ContainerDeps, 'state'>, id: string, exit: Exit | undefined): void {
  state.publishContainer(id, (container) => ({
    ...container,
    state: transition(container.state, endOf(exit, nowNs())),
  }));
}

/** Removes the usual content first: an empty directory can be removed without reading all mounts of the node. */
async function removeFiles(
  { directories, statusFiles }: Pick<ContainerDeps, 'directories' | 'statusFiles'>,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const state = directories.containerState(id);
  await Promise.all([statusFiles.remove(id), removeTree(join(state, 'io'))]);
  await removeTree([directories.containerRoot(id), state], signal);
}
