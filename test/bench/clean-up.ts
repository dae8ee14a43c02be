import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import { leaks, type Inventory } from '../harness/leaks.js';
import type { Stack } from '../harness/test-stack.js';
import { removePod } from './bench.js';
import { BENCH_LABEL, CGROUP_PARENT } from './requests.js';
import type { Side } from './side.js';

const ATTEMPTS = 5;
const PAUSE_MS = 500;
const REMOVALS_AT_ONCE = 10;
/** Shims and the mounts of their containers disappear a moment after the call that ends them. */
const GRACE_MS = 10_000;

/**
 * Removes every pod that the benchmark has made on this side. Reads the list again until it stays empty, because an
 * interrupted call may still create a pod.
 */
export async function removePodsOf(side: Side): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { items } = await side.runtime.listPodSandbox({ filter: { label_selector: { [BENCH_LABEL]: side.key } } });
    if (items.length === 0 && attempt > 1) return;
    const queue = new PQueue({ concurrency: REMOVALS_AT_ONCE });
    const outcomes = await Promise.allSettled(items.map(({ id }) => queue.add(() => removePod(side, id))));
    if (attempt === ATTEMPTS) {
      const first = outcomes.find((outcome) => outcome.status === 'rejected');
      throw new Error(`${side.name}: ${items.length} pods cannot be removed`, { cause: first?.reason });
    }
    await sleep(PAUSE_MS);
  }
}

/** Fails with a list of everything that pods have left in the stack's containerd, folder, network and cgroups. */
export async function requireNothingLeft(stack: Stack, namespaces: readonly string[]): Promise<void> {
  const deadlineMs = Date.now() + GRACE_MS;
  for (;;) {
    const inventories = await Promise.all(namespaces.map((namespace) => leaks(stack, namespace)));
    const left = [...inventories.flatMap(podsThings), ...(await cgroups())];
    if (left.length === 0) return;
    if (Date.now() > deadlineMs) throw new Error(`left behind: ${[...new Set(left)].join(', ')}`);
    await sleep(PAUSE_MS);
  }
}

/** Leaves out network namespaces: other pods of this host have theirs in the same default folder. */
const podsThings = ({ netns: _ofOthers, ...rest }: Inventory): string[] =>
  Object.entries(rest).flatMap(([kind, names]) => names.map((name) => `${kind} ${name}`));

/** The cgroups of the pods are removed with them; this removes their common parent. */
async function cgroups(): Promise<string[]> {
  const root = '/sys/fs/cgroup';
  const left: string[] = [];
  for (const hierarchy of ['', ...(await readdir(root))]) {
    const path = join(root, hierarchy, CGROUP_PARENT);
    await rmdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') left.push(`cgroup ${path}`);
    });
  }
  return left;
}
