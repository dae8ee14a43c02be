import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountsBelow, shimsOf } from '../../tools/stack/leftovers.js';
import { podNetnsNotOfOthers } from '../../tools/stack/netns.js';
import { recordsIn } from './containerd-records.js';
import type { TestStack } from './test-stack.js';

/** The resources of a host and of containerd that pods use, by kind, each with a readable name. */
export type Inventory = Readonly<Record<Kind, readonly string[]>>;

type Kind =
  | 'netns'
  | 'mount'
  | 'fifo'
  | 'shim'
  | 'OCI container'
  | 'bridge port'
  | 'IP address'
  | 'CNI result'
  | 'directory'
  | 'container'
  | 'task'
  | 'snapshot'
  | 'lease'
  | 'sandbox';

export const NAMESPACE = 'k8s.io';
const CNI_RESULTS = '/var/lib/cni/results';
const OCI_RUNTIMES = '/run/containerd/runc';
const CRI_FOLDERS = ['sandboxes', 'containers', 'image-volumes'];
const SETTLE_LIMIT_MS = 60_000;
const SETTLE_PAUSE_MS = 100;

/** Returns the resources that exist now. Take an inventory before and after a test, and compare them. */
export async function leaks(stack: TestStack, namespace = NAMESPACE): Promise<Inventory> {
  const { bridge, containerd } = stack;
  const mounts = await mountsBelow(stack.dir);
  const results = await names(CNI_RESULTS);
  return {
    netns: (await podNetnsNotOfOthers(containerd.socket)).map(({ path }) => path),
    mount: mounts,
    fifo: await fifosBelow(containerd.state, new Set(mounts)),
    shim: (await shimsOf(containerd.socket)).map(({ pid, id }) => `${id} (pid ${pid})`),
    'OCI container': await ociContainers(containerd, namespace),
    'bridge port': await names(`/sys/class/net/${bridge.name}/brif`),
    'IP address': (await names(join(bridge.dataDir, bridge.name))).filter((name) => /^[\da-f.:]+$/.test(name)),
    'CNI result': results.filter((name) => name.startsWith(`${bridge.name}-`)),
    directory: await criDirectories(containerd),
    ...(await recordsIn(containerd.socket, namespace)),
  };
}

/** Fails with the names of resources that exist after but not before. */
function assertNoLeaks(before: Inventory, after: Inventory): void {
  const left = leftIn(before, after);
  if (left.length > 0) assert.fail(`left behind:\n${left.map((line) => `  ${line}`).join('\n')}`);
}

/** The same, for resources that may take a moment to disappear, such as a shim after its last task. */
export async function assertLeavesNothing(stack: TestStack, before: Inventory, namespace = NAMESPACE): Promise<void> {
  const endMs = Date.now() + SETTLE_LIMIT_MS;
  let after = await leaks(stack, namespace);
  while (leftIn(before, after).length > 0 && Date.now() < endMs) {
    await sleep(SETTLE_PAUSE_MS);
    const now = await leaks(stack, namespace);
    // Network namespaces of another stack's new pods appear for a moment; a leak stays.
    after = { ...now, netns: now.netns.filter((path) => after.netns.includes(path)) };
  }
  assertNoLeaks(before, after);
}

const leftIn = (before: Inventory, after: Inventory): string[] =>
  (Object.keys(after) as Kind[]).flatMap((kind) =>
    after[kind].filter((name) => !before[kind].includes(name)).map((name) => `${kind} ${name}`),
  );

const names = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

/** Skips mounts, because the contents of a container's rootfs do not matter. */
async function fifosBelow(folder: string, mounts: ReadonlySet<string>): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isFIFO()) found.push(path);
    if (entry.isDirectory() && !mounts.has(path)) found.push(...(await fifosBelow(path, mounts)));
  }
  return found;
}

/** The OCI runtime's containers of this containerd only: the shims of other containerds use the same directory. */
async function ociContainers({ state }: { state: string }, namespace: string): Promise<string[]> {
  const ids = await names(join(OCI_RUNTIMES, namespace));
  // runc writes state.json, crun writes status.
  const known = await Promise.all(
    ids.map(async (id) =>
      Promise.all(
        ['state.json', 'status'].map((name) =>
          readFile(join(OCI_RUNTIMES, namespace, id, name), 'utf8').catch(() => ''),
        ),
      ),
    ),
  );
  return ids.filter((_, index) => known[index]?.some((text) => text.includes(`${state}/`)));
}

/** Directories of pods and containers, at the paths that containerd's CRI plugin also uses. */
async function criDirectories({ root, state }: { root: string; state: string }): Promise<string[]> {
  const found: string[] = [];
  for (const base of [root, state]) {
    for (const kind of CRI_FOLDERS) {
      const folder = join(base, 'io.containerd.grpc.v1.cri', kind);
      found.push(...(await names(folder)).map((name) => join(folder, name)));
    }
  }
  return found;
}
