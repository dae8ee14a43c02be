import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountsBelow, shimsOf } from '../../tools/stack/leftovers.js';
import { podNetnsNotOfOthers } from '../../tools/stack/netns.js';
import { recordsIn } from './containerd-records.js';
import type { TestStack } from './test-stack.js';

/** What pods take of a host and of containerd, each thing by a name that says what it is. */
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

/** What there is now; take it before and after, and compare. */
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

/** Fails with the names of what is there and was not before. */
export function assertNoLeaks(before: Inventory, after: Inventory): void {
  const left = leftIn(before, after);
  if (left.length > 0) assert.fail(`left behind:\n${left.map((line) => `  ${line}`).join('\n')}`);
}

/** The same for things that may take a moment to go, such as a shim after its last task. */
export async function assertLeavesNothing(stack: TestStack, before: Inventory, namespace = NAMESPACE): Promise<void> {
  const endMs = Date.now() + SETTLE_LIMIT_MS;
  let after = await leaks(stack, namespace);
  while (leftIn(before, after).length > 0 && Date.now() < endMs) {
    await sleep(SETTLE_PAUSE_MS);
    const now = await leaks(stack, namespace);
    // Those that another stack's pods are just being given come and go; a leak stays.
    after = { ...now, netns: now.netns.filter((path) => after.netns.includes(path)) };
  }
  assertNoLeaks(before, after);
}

const leftIn = (before: Inventory, after: Inventory): string[] =>
  (Object.keys(after) as Kind[]).flatMap((kind) =>
    after[kind].filter((name) => !before[kind].includes(name)).map((name) => `${kind} ${name}`),
  );

const names = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

/** Does not look into mounts: what lies in a container's rootfs is its own business. */
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

/** What the OCI runtime knows of this containerd's: others' shims use the same directory. */
async function ociContainers({ state }: { state: string }, namespace: string): Promise<string[]> {
  const ids = await names(join(OCI_RUNTIMES, namespace));
  // The files of runc and of crun.
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

/** Directories of pods and containers, in the places that containerd's CRI plugin uses too. */
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
