import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../src/base/log.js';
import { createContainerd } from '../../src/containerd/client.js';
import { mountsBelow, shimsOf } from '../../tools/stack/leftovers.js';
import { removePod } from './bench.js';
import { BENCH_LABEL, CGROUP_PARENT } from './requests.js';
import type { Both, Side } from './side.js';

const ATTEMPTS = 5;
const PAUSE_MS = 500;
/** Shims, and what their containers had mounted, go a moment after the call that ends them. */
const GRACE_MS = 10_000;

/**
 * Removes every pod of the benchmark from both sides. An interrupted call may still be making one, so the lists are
 * read again until they stay empty.
 */
export async function removeAllPods(sides: Both<Side>): Promise<void> {
  for (const side of [sides.reference, sides.candidate]) {
    for (let attempt = 1; ; attempt++) {
      const { items } = await side.runtime.listPodSandbox({ filter: { label_selector: { [BENCH_LABEL]: side.key } } });
      if (items.length === 0 && attempt > 1) break;
      const outcomes = await Promise.allSettled(items.map(({ id }) => removePod(side, id)));
      if (attempt === ATTEMPTS) {
        const first = outcomes.find((outcome) => outcome.status === 'rejected');
        throw new Error(`${side.name}: ${items.length} pods cannot be removed`, { cause: first?.reason });
      }
      await sleep(PAUSE_MS);
    }
  }
}

export interface Places {
  readonly containerdSocket: string;
  /** Everything that either server mounts is mounted below it. */
  readonly folder: string;
  /** Where host-local writes down the addresses that are taken. */
  readonly addresses: string;
  readonly namespaces: readonly string[];
}

/** Fails with a list of whatever the pods have left behind: records, tasks, leases, shims, mounts, addresses, cgroups. */
export async function requireNothingLeft(places: Places): Promise<void> {
  const deadlineMs = Date.now() + GRACE_MS;
  for (;;) {
    const left = await leftovers(places);
    if (left.length === 0) return;
    if (Date.now() > deadlineMs) throw new Error(`left behind: ${left.join(', ')}`);
    await sleep(PAUSE_MS);
  }
}

async function leftovers(places: Places): Promise<string[]> {
  const shims = await shimsOf(places.containerdSocket);
  return [
    ...(await Promise.all(places.namespaces.map((namespace) => records(places.containerdSocket, namespace)))).flat(),
    ...shims.map(({ namespace, id }) => `shim ${namespace}/${id}`),
    ...(await mountsBelow(places.folder)).map((path) => `mount ${path}`),
    ...(await takenAddresses(places.addresses)).map((address) => `address ${address}`),
    ...(await cgroups()).map((path) => `cgroup ${path}`),
  ];
}

/** What containerd still has in a namespace, images and their snapshots apart. */
async function records(address: string, namespace: string): Promise<string[]> {
  const containerd = createContainerd({ address, namespace, log: createLogger('warn') });
  try {
    const snapshots = await containerd.snapshots('overlayfs').list([]);
    return [
      ...(await containerd.containers.list([])).map(({ id }) => `container ${namespace}/${id}`),
      ...(await containerd.tasks.list()).map(({ containerId }) => `task ${namespace}/${containerId}`),
      ...(await containerd.sandboxes.list([])).map(({ id }) => `sandbox ${namespace}/${id}`),
      ...(await containerd.leases.list([])).map(({ id }) => `lease ${namespace}/${id}`),
      ...snapshots.filter(({ kind }) => kind !== 'committed').map(({ name }) => `snapshot ${namespace}/${name}`),
    ];
  } finally {
    containerd.close();
  }
}

async function takenAddresses(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names.filter((name) => /(^|\/)\d+\.\d+\.\d+\.\d+$/.test(name));
}

/** The cgroups in which the pods ran go with them; the parent that they all had goes here. */
async function cgroups(): Promise<string[]> {
  const root = '/sys/fs/cgroup';
  const left: string[] = [];
  for (const hierarchy of ['', ...(await readdir(root))]) {
    const path = join(root, hierarchy, CGROUP_PARENT);
    await rmdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') left.push(path);
    });
  }
  return left;
}
