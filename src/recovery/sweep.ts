import { join } from 'node:path';
import { CriError } from '../base/errors.js';
import type { ContainerDeps } from '../containers/container-deps.js';
import { removeTree } from '../host/files/files.js';
import { unmount } from '../host/mount/mount-calls.js';
import { unpinAll } from '../host/namespace/pin-namespaces.js';
import type { Steps } from '../operation/steps.js';
import { ID, type Leftovers } from './leftovers.js';
import { lostTasks, removeLostTask } from './lost-tasks.js';

const STEP_LIMIT_MS = 10 * 60_000;

export interface SweepOptions {
  /** Ids of the containers that containerd had before the first call. */
  readonly recordIds: ReadonlySet<string>;
  readonly closing: AbortSignal;
  readonly onSwept: (() => void) | undefined;
}

/**
 * Removes the tasks, directories, snapshots and leases that no record claims, and the mounts that crid has activated:
 * left by a kill between two steps, or by another client. Removes only names of the form of crid's ids that existed
 * before the first call and that nothing made since has. Failures are logged and left for the next start.
 */
export async function sweep(
  deps: Pick<ContainerDeps, 'config' | 'containerd' | 'directories' | 'imageVolumes' | 'log' | 'state'>,
  steps: Steps,
  leftovers: Leftovers,
  options: SweepOptions,
): Promise<void> {
  const { state } = deps;
  const isClaimed = (id: string): boolean =>
    options.recordIds.has(id) ||
    state.newIds.isNew(id) ||
    state.claims.hasId(id) ||
    state.pods.byId(id) !== undefined ||
    state.containers.byId(id) !== undefined;
  const attempt = createAttempt(deps, options);
  const step = (name: string, work: () => Promise<void>): Promise<void> =>
    steps.step(name, work, undefined, { timeoutMs: STEP_LIMIT_MS, waitingOn: attempt.current });

  const kept = new Set<string>();
  await step('sweep tasks', async () => {
    for (const id of await lostTasks(deps.containerd, leftovers, isClaimed)) {
      const taken = await attempt.take(`task ${id}`, () => removeLostTask(deps.containerd, id));
      // The next start finds the task by its directories.
      if (!taken) kept.add(id);
    }
  });
  await step('sweep directories', async () => {
    for (const { id, path } of leftovers.directories) {
      if (!isClaimed(id) && !kept.has(id)) await attempt.take(path, () => removeDirectory(path));
    }
  });
  await step('sweep image volumes', async () => {
    for (const pod of leftovers.imageVolumes) {
      if (isClaimed(pod)) continue;
      await attempt.take(join(deps.directories.imageVolumes(pod)), () =>
        deps.imageVolumes.removeAll(pod, deps.config.images.snapshotter),
      );
    }
  });
  await step('sweep activated mounts', async () => {
    for (const name of leftovers.activations) {
      await attempt.take(`activated mounts ${name}`, () => deps.containerd.mounts.deactivate(name));
    }
  });
  await step('sweep leases', async () => {
    for (const lease of leftovers.podLeases) await sweepLease(deps, lease, isClaimed, attempt.take);
  });
  state.newIds.forget();
}

async function removeDirectory(path: string): Promise<void> {
  await unmount(join(path, 'shm'), { detach: true });
  await unpinAll(join(path, 'pinned-namespaces'));
  await removeTree(path);
}

/** Returns whether it succeeded. */
type Take = (what: string, work: () => Promise<void>) => Promise<boolean>;

async function sweepLease(
  { containerd }: Pick<ContainerDeps, 'containerd'>,
  lease: string,
  isClaimed: (id: string) => boolean,
  take: Take,
): Promise<void> {
  const resources = await containerd.leases.resources(lease).catch(() => []);
  for (const { id, type } of resources) {
    const snapshotter = type.startsWith('snapshots/') ? type.slice('snapshots/'.length) : undefined;
    if (snapshotter === undefined || !ID.test(id) || isClaimed(id)) continue;
    await take(`snapshot ${id}`, () => containerd.snapshots(snapshotter).remove(id));
  }
  if (!isClaimed(lease)) await take(`lease ${lease}`, () => containerd.leases.delete(lease));
}

function createAttempt({ log }: Pick<ContainerDeps, 'log'>, { closing, onSwept }: SweepOptions) {
  let current: string | undefined;
  const take: Take = async (what, work) => {
    closing.throwIfAborted();
    current = what;
    try {
      await work();
      log.info({ what }, 'swept');
      onSwept?.();
      return true;
    } catch (thrown) {
      log.warn({ what, err: CriError.from(thrown).message }, 'not swept');
      return false;
    } finally {
      current = undefined;
    }
  };
  return { take, current: () => current };
}
