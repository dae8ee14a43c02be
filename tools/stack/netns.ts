import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { run, which } from './exec.js';
import { descendants, netnsOf, processes, shimsOf } from './leftovers.js';

/** A network namespace that CRI servers name `cni-…`. */
export interface PodNetns {
  readonly path: string;
  /** "" for a file that no namespace is mounted on, which is all that is left of one. */
  readonly inode: string;
}

const FOLDER = '/run/netns';
const RESULTS = '/var/lib/cni/results';

/** The named namespaces of pods on this host, whosever they are. */
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

/** Without those in which pods of another containerd run. */
export async function podNetnsNotOfOthers(socket: string): Promise<PodNetns[]> {
  const foreign = new Set<string>();
  for (const { pid, args } of await processes()) {
    if (!args[0]?.includes('containerd-shim') || args.includes(socket)) continue;
    for (const member of await descendants(pid)) foreign.add(await netnsOf(member));
  }
  return (await podNetns()).filter(({ inode }) => inode === '' || !foreign.has(inode));
}

/**
 * Removes the namespaces in which pods of the containerd at `socket` run, or which libcni's cache names for the
 * network; and what that cache says of them.
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

/** /var/run is a link to /run. */
const isSame = (netns: string, path: string): boolean => netns === path || netns === `/var${path}`;
