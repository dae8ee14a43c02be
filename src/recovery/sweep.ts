import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../base/errors.js';
import type { ContainerDeps } from '../containers/deps.js';
import { unmount } from '../host/mounts.js';
import { removeTree } from '../host/paths.js';
import { LEASE_LABEL } from '../pods/pod-records.js';

const ID = /^[0-9a-f]{64}$/;

/**
 * Takes away what a kill has left between two steps: directories, snapshots and leases that no record claims. Nothing
 * is taken on suspicion: only what is named like an id of crid's and has neither a container nor a pod. Failures are
 * logged and left for the next start.
 */
export async function sweep(deps: ContainerDeps, onSwept?: () => void): Promise<void> {
  const { containerd, log } = deps;
  const records = new Set((await containerd.containers.list([])).map(({ id }) => id));
  const claimed = (id: string): boolean =>
    records.has(id) ||
    deps.state.pods.find(id, 'id') !== undefined ||
    deps.state.containers.find(id, 'id') !== undefined;
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      log.info({ what }, 'swept');
      onSwept?.();
    } catch (thrown) {
      log.warn({ what, err: CriError.from(thrown).message }, 'not swept');
    }
  };

  for (const parent of ['sandboxes', 'containers'].flatMap((kind) => [
    join(deps.directories.root, kind),
    join(deps.directories.state, kind),
  ])) {
    const names = await readdir(parent).catch(() => [] as string[]);
    for (const name of names.filter((id) => ID.test(id) && !claimed(id))) {
      const path = join(parent, name);
      await attempt(path, async () => {
        await unmount(join(path, 'shm'), { detach: true });
        await unmount(join(path, 'pinned-namespaces', 'user'), { detach: true });
        await removeTree(path);
      });
    }
  }
  const volumes = join(deps.directories.state, 'image-volumes');
  for (const pod of (await readdir(volumes).catch(() => [] as string[])).filter((id) => ID.test(id) && !claimed(id))) {
    await attempt(join(volumes, pod), () => deps.imageVolumes.removeAll(pod, deps.config.images.snapshotter));
  }
  for (const lease of await containerd.leases.list([`labels."${LEASE_LABEL}"==true`])) {
    for (const { id, type } of await containerd.leases.resources(lease.id)) {
      const snapshotter = type.startsWith('snapshots/') ? type.slice('snapshots/'.length) : undefined;
      if (snapshotter === undefined || !ID.test(id) || claimed(id)) continue;
      await attempt(`snapshot ${id}`, () => containerd.snapshots(snapshotter).remove(id));
    }
    if (!claimed(lease.id)) await attempt(`lease ${lease.id}`, () => containerd.leases.delete(lease.id));
  }
}
