import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { run, which } from './exec.js';
import { descendants, netnsOf, processes, shimsOf } from './leftovers.js';

/** A network namespace that CRI servers name `cni-…`. */
export interface PodNetns {
  readonly path: string;
  /** "" for a file without a mounted namespace, which is left over from one. */
  readonly inode: string;
}

const FOLDER = '/run/netns';
const RESULTS = '/var/lib/cni/results';

/** Returns the named network namespaces of all pods on this host, of any CRI server. */
export async function podNetns(): Promise<PodNetns[]> {
  const found: PodNetns[] = [];
  const { dev } = await stat('/proc/self/ns/net');
  for (const name of await readdir(FOLDER).catch(() => [])) {
    if (!name.startsWith('cni-')) continue;
    const path = join(FOLDER, name);
    const file = await stat(path).catch(() => undefined);
    if (file) found.push({ path, inode: file.dev === dev ? String(file.ino) : '' });
  }
  return found;
}

/** Returns the namespaces of pods, without those of another containerd's running pods. */
export async function podNetnsNotOfOthers(socket: string): Promise<PodNetns[]> {
  const foreign = new Set<string>();
  for (const { pid, args } of await processes()) {
    if (!args[0]?.includes('containerd-shim') || args.includes(socket)) continue;
    for (const member of await descendants(pid)) foreign.add(await netnsOf(member));
  }
  return (await podNetns()).filter(({ inode }) => inode === '' || !foreign.has(inode));
}

/**
 * Removes the namespaces in which pods of the containerd at `socket` run and those that libcni's cache names for the
 * network, with their entries in that cache.
 */
export async function removePodNetns(socket: string, network: string | undefined): Promise<void> {
  const inodes = new Set<string>();
  for (const { pid } of await shimsOf(socket)) {
    for (const member of await descendants(pid)) inodes.add(await netnsOf(member));
  }
  const cached = await cachedResults();
  const named = cached.filter(({ file }) => network !== undefined && file.startsWith(`${network}-`));
  for (const { path, inode } of await podNetns()) {
    const isOurs = inode !== '' && inodes.has(inode);
    if (!isOurs && !named.some(({ netns }) => isSame(netns, path))) continue;
    await run(which('umount') ?? 'umount', ['--lazy', path]).catch(() => undefined);
    await rm(path, { force: true });
    for (const { file, netns } of cached) if (isSame(netns, path)) await rm(join(RESULTS, file), { force: true });
  }
}

async function cachedResults(): Promise<{ file: string; netns: string }[]> {
  const found: { file: string; netns: string }[] = [];
  for (const file of await readdir(RESULTS).catch(() => [])) {
    const text = await readFile(join(RESULTS, file), 'utf8').catch(() => '');
    found.push({ file, netns: /"netns":"([^"]*)"/.exec(text)?.[1] ?? '' });
  }
  return found;
}

/** /var/run is a symbolic link to /run. */
const isSame = (netns: string, path: string): boolean => netns === path || netns === `/var${path}`;
