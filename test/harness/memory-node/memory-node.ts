import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { removeEmpty } from '../../../src/host/files/files.js';
import type { Plugins } from '../../../src/nri/port.js';
import type { Namespaces } from '../../../src/pods/namespaces.js';
import type { Directories } from '../../../src/state/directories.js';
import { isPinned, pinnedNamespaces } from '../../../src/state/pod-view.js';
import type { Dump } from '../memory-containerd/dump.js';
import { createMemoryContainerd, type MemoryContainerd } from '../memory-containerd/memory-containerd.js';
import type { Moment } from './hooks.js';
import { SNAPSHOTTER, startMemoryCrid, type MemoryCrid } from './memory-crid.js';
import { createMemoryNetwork } from './network.js';

/** All that is left on a node: containerd's data, the pods with an address, and the files of crid. */
export interface NodeDump {
  readonly containerd: Dump;
  readonly networks: readonly string[];
  readonly files: readonly string[];
}

/**
 * A node without a kernel: the in-memory containerd, a network without plugins, and a temporary directory for crid's
 * files. It needs no root.
 */
export interface MemoryNode {
  readonly containerd: MemoryContainerd;
  /** Holds the files of `dump`. */
  readonly directory: string;
  /** Starts a crid on what is there, and waits until its recovery has ended, or has come to the moment of `killAt`. */
  start(options?: { killAt?: Moment; plugins?: Plugins }): Promise<MemoryCrid>;
  dump(): Promise<NodeDump>;
  /** Ends every crid and removes the files. */
  remove(): Promise<void>;
}

/** The image of containers. */
export const APP_IMAGE = 'docker.io/library/app:1';

export async function createMemoryNode(): Promise<MemoryNode> {
  const directory = await mkdtemp(join(tmpdir(), 'crid-memory-node-'));
  const containerd = createMemoryContainerd();
  const network = createMemoryNetwork();
  const crids: MemoryCrid[] = [];
  const pause = containerd.seedImage({
    name: 'registry.k8s.io/pause:3.10.2',
    snapshotter: SNAPSHOTTER,
    config: { Entrypoint: ['/pause'] },
  });
  containerd.seedImage({ name: APP_IMAGE, snapshotter: SNAPSHOTTER });
  return {
    containerd,
    directory,
    async start({ killAt, plugins } = {}) {
      const parts = { directory, pauseImage: pause.name, network, namespaces: plainFiles, plugins };
      const crid = await startMemoryCrid(containerd.connect(), parts, killAt);
      crids.push(crid);
      return crid;
    },
    dump: async () => ({
      containerd: containerd.dump(),
      networks: [...network.attached].sort(),
      files: [...(await filesBelow(directory, 'root')), ...(await filesBelow(directory, 'state'))],
    }),
    async remove() {
      for (const crid of crids) await crid.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A file in the place of each namespace. */
const plainFiles = (directories: Directories): Namespaces => ({
  async create(pod) {
    const paths = isPinned(pod) ? Object.values(pinnedNamespaces(directories, pod)) : [pod.netnsPath];
    for (const path of paths) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, '', { flag: 'wx' });
    }
  },
  async remove({ id, netnsPath }) {
    await rm(netnsPath, { force: true });
    await rm(directories.podNamespaces(id), { recursive: true, force: true });
    await removeEmpty(directories.podState(id));
  },
});

/** Returns the files, and the directories of pods and containers. */
async function filesBelow(directory: string, name: string): Promise<string[]> {
  const entries = await readdir(join(directory, name), { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory() || /^[0-9a-f]{64}$/.test(entry.name))
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}
