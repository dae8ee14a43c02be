import type { Containerd } from '../containerd/containerd.js';
import { withLimit } from '../base/time.js';

/** containerd asks one shim after the other for the state of its tasks, and waits 2 s for one that hangs. */
const LIST_LIMIT_MS = 300;

/**
 * Returns the ids of all tasks, or undefined if containerd has not listed them soon after `meanwhile` has ended:
 * then a shim hangs. The list may lack a task whose shim cannot be reached, so it only tells which tasks are
 * worth asking for before the first call.
 */
export async function listTasks(
  { tasks }: Pick<Containerd, 'tasks'>,
  meanwhile: Promise<unknown>,
): Promise<ReadonlySet<string> | undefined> {
  const given = new AbortController();
  const listing = tasks.list({ signal: given.signal }).then(
    (all) => new Set(all.map(({ containerId }) => containerId)),
    () => undefined,
  );
  try {
    await meanwhile;
    return await withLimit(listing, LIST_LIMIT_MS, () => undefined);
  } finally {
    given.abort();
  }
}
