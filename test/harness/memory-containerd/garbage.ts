import type { MemorySnapshot, Store } from './store.js';

const ROOT = 'containerd.io/gc.root';
const SNAPSHOT_REFERENCE = 'containerd.io/gc.ref.snapshot.';

/**
 * Returns the snapshots, as `SNAPSHOTTER KEY`, that nothing protects from containerd's garbage collector: no lease, no
 * container, no label `containerd.io/gc.root`, no blob's label, and no snapshot above that is protected.
 */
export function garbage(store: Store): string[] {
  return [...store.snapshotters].flatMap(([snapshotter, snapshots]) => {
    const kept = protectedSnapshots(store, snapshotter, snapshots);
    return [...snapshots.keys()].filter((key) => !kept.has(key)).map((key) => `${snapshotter} ${key}`);
  });
}

/** Deletes what nothing protects. Images and blobs stay: tests do not delete them this way. */
export function collectGarbage(store: Store): void {
  for (const each of garbage(store)) {
    const at = each.indexOf(' ');
    store.snapshotsOf(each.slice(0, at)).delete(each.slice(at + 1));
  }
}

function protectedSnapshots(
  store: Store,
  snapshotter: string,
  snapshots: ReadonlyMap<string, MemorySnapshot>,
): Set<string> {
  const leased = [...store.leases.values()].flatMap(({ resources }) => [...resources]);
  const roots = [...snapshots.keys()].filter((key) => leased.includes(`snapshots/${snapshotter} ${key}`));
  for (const container of store.containers.values()) {
    if (container.snapshotter === snapshotter) roots.push(container.snapshotKey);
  }
  for (const { labels } of store.blobs.values()) roots.push(labels[SNAPSHOT_REFERENCE + snapshotter] ?? '');
  for (const [key, { labels }] of snapshots) if (labels[ROOT] !== undefined) roots.push(key);
  const kept = new Set<string>();
  for (const root of roots) {
    for (let key = root; snapshots.has(key) && !kept.has(key); key = snapshots.get(key)?.parent ?? '') kept.add(key);
  }
  return kept;
}
