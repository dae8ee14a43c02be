import { mkdir, open, readdir, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bindMount, MS_BIND, unmount } from '../mount/mount-calls.js';
import { mountCall } from '../syscall/common-calls.js';
import { errnoName, translated } from '../syscall/errno.js';
import { call, systemCall } from '../syscall/libc.js';
import { removeNetns } from './netns.js';
import { withProcessInside } from './namespace-process.js';
import { inNamespaces, inNewNamespaces, ownNamespace, type ThreadNamespace } from './thread-namespaces.js';

/** The path on which each of a pod's own namespaces is kept open by a bind mount, by its name in /proc/PID/ns. */
export type NamespacePaths = Readonly<Partial<Record<ThreadNamespace | 'user', string>>>;

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface NewNamespaces {
  readonly paths: NamespacePaths;
  /** The mappings of a new user namespace, which owns the others; it is pinned only if it has a path. */
  readonly userNamespace?: { readonly uids: readonly IdMapping[]; readonly gids: readonly IdMapping[] } | undefined;
  /** The host name in a new UTS namespace; "" leaves the node's. */
  readonly hostname?: string;
}

/**
 * Makes namespaces, each kept open by a bind mount on its path. No path may exist (ALREADY_EXISTS). Makes their
 * directories with mode 0755 when missing. Loopback stays down: the network setup brings it up. Nothing is left on
 * failure.
 */
export async function pinNamespaces({ paths, userNamespace, hostname = '' }: NewNamespaces): Promise<void> {
  const made: string[] = [];
  try {
    for (const path of Object.values(paths)) {
      await makeFile(path);
      made.push(path);
    }
    if (userNamespace) await pinOfProcess(paths, userNamespace);
    else pinOfThread(paths);
    if (paths.uts !== undefined && hostname !== '') {
      inNamespaces({ uts: paths.uts }, () => call(sethostname, hostname, hostname, Buffer.byteLength(hostname)));
    }
  } catch (thrown) {
    await Promise.all(made.map(removeNetns));
    throw thrown;
  }
}

/** Binds the namespace that crid itself is in to `path`, which must not exist (ALREADY_EXISTS). */
export async function pinOwnNamespace(type: ThreadNamespace, path: string): Promise<void> {
  await makeFile(path);
  await bindMount(ownNamespace(type), path);
}

/** Unmounts a pinned namespace and removes its file. Succeeds when it is gone. */
async function unpinNamespace(path: string): Promise<void> {
  await unmount(path, { detach: true });
  await translated(path, async () => {
    await unlink(path).catch((thrown: unknown) => {
      if (errnoName(thrown) !== 'ENOENT') throw thrown;
    });
  });
}

/** Does this for all files of a directory; succeeds when there is none. */
export async function unpinAll(directory: string): Promise<void> {
  const names = await readdir(directory).catch((thrown: unknown) => {
    if (errnoName(thrown) === 'ENOENT') return [];
    throw thrown;
  });
  await Promise.all(names.map((name) => unpinNamespace(join(directory, name))));
}

const sethostname = systemCall('sethostname', ['const char *', 'size_t']);

/** A thread of crid makes them: a helper process would take most of the time. */
function pinOfThread(paths: NamespacePaths): void {
  const entries = Object.entries(paths) as [ThreadNamespace, string][];
  const types = entries.map(([type]) => type);
  inNewNamespaces(types, entries.map(([, path]) => path).join(', '), () => {
    for (const [type, path] of entries) call(mountCall, path, ownNamespace(type), path, 'none', MS_BIND, null);
  });
}

async function pinOfProcess(
  paths: NamespacePaths,
  { uids, gids }: NonNullable<NewNamespaces['userNamespace']>,
): Promise<void> {
  const types = Object.keys(paths).filter((type) => type !== 'user') as ThreadNamespace[];
  await withProcessInside(types, async (pid) => {
    await translated(`/proc/${pid}`, async () => {
      await writeFile(`/proc/${pid}/uid_map`, mapLines(uids));
      await writeFile(`/proc/${pid}/gid_map`, mapLines(gids));
    });
    for (const [type, path] of Object.entries(paths)) await bindMount(`/proc/${pid}/ns/${type}`, path);
  });
}

async function makeFile(path: string): Promise<void> {
  await translated(path, async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await (await open(path, 'wx', 0o444)).close();
  });
}

const mapLines = (mappings: readonly IdMapping[]): string =>
  mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('');
