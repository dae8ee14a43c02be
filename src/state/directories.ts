import { join } from 'node:path';

/**
 * The directories of pods and containers. They are those of containerd's own CRI plugin, so that either server can take
 * over the other's pods. `root` survives a reboot, `state` does not.
 */
export interface Directories {
  readonly root: string;
  readonly state: string;
  /** Holds hostname, hosts and resolv.conf. */
  podRoot(podId: string): string;
  /** Holds shm. */
  podState(podId: string): string;
  podShm(podId: string): string;
  /** Holds the bind mounts of the pod's namespaces, except the network namespace. */
  podNamespaces(podId: string): string;
  podNamespace(podId: string, type: 'ipc' | 'user' | 'uts'): string;
  /** Holds a directory for each image that the pod's containers mount, named by the hex of its manifest's digest. */
  imageVolumes(podId: string): string;
  /** Holds the image's volumes. */
  containerRoot(containerId: string): string;
  /** Holds the FIFOs, in io/…. */
  containerState(containerId: string): string;
  /** Holds, for a moment, mounts of root file systems on kernels without detached mounts. */
  readonly scratch: string;
  /** Holds the bind mounts of network namespaces. */
  readonly netns: string;
}

const PLUGIN = 'io.containerd.grpc.v1.cri';
const KUBERNETES = 'k8s.io';

/**
 * In the containerd namespace `k8s.io` these are the directories of containerd's CRI plugin. Any other namespace has
 * directories of its own, so that two servers on one containerd never take each other's directories for leftovers.
 */
export function createDirectories(options: {
  root: string;
  state: string;
  namespace: string;
  netnsUnderState: boolean;
}): Directories {
  const own = options.namespace === KUBERNETES ? PLUGIN : `io.crid.${options.namespace}`;
  const root = join(options.root, own);
  const state = join(options.state, own);
  return {
    root,
    state,
    podRoot: (id) => join(root, 'sandboxes', id),
    podState: (id) => join(state, 'sandboxes', id),
    podShm: (id) => join(state, 'sandboxes', id, 'shm'),
    podNamespaces: (id) => join(state, 'sandboxes', id, 'pinned-namespaces'),
    podNamespace: (id, type) => join(state, 'sandboxes', id, 'pinned-namespaces', type),
    imageVolumes: (id) => join(state, 'image-volumes', id),
    containerRoot: (id) => join(root, 'containers', id),
    containerState: (id) => join(state, 'containers', id),
    scratch: join(state, 'scratch'),
    netns: options.netnsUnderState ? join(state, 'netns') : '/var/run/netns',
  };
}
