import { join } from 'node:path';
import type { Containerd } from '../containerd/containerd.js';

/**
 * Returns the `root` of the snapshotter's plugin, else containerd's default below `root`; asks containerd only once.
 */
export function snapshotterRoots(
  containerd: Pick<Containerd, 'introspection'>,
  root: string,
): (snapshotter: string) => Promise<string> {
  const known = new Map<string, string>();
  return async (snapshotter) => {
    const before = known.get(snapshotter);
    if (before !== undefined) return before;
    const plugins = await containerd.introspection.plugins([
      `type==io.containerd.snapshotter.v1,id==${JSON.stringify(snapshotter)}`,
    ]);
    const found = plugins[0]?.exports['root'] || join(root, `io.containerd.snapshotter.v1.${snapshotter}`);
    known.set(snapshotter, found);
    return found;
  };
}
