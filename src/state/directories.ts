import { join } from 'node:path';

/**
 * Where files of pods and containers lie: the same places as containerd's own CRI plugin uses, so that either can
 * take over the other's pods. `root` survives a reboot, `state` does not.
 */
export interface Directories {
  readonly root: string;
  readonly state: string;
  /** hostname, hosts, resolv.conf */
  podRoot(podId: string): string;
  /** shm */
  podState(podId: string): string;
  podShm(podId: string): string;
  /** Where a pod's user namespace is bound. */
  podUserns(podId: string): string;
  /** One directory for each image that the pod's containers mount, by the hex of its manifest's digest. */
  imageVolumes(podId: string): string;
  /** volumes of the image */
  containerRoot(containerId: string): string;
  /** io/… : the FIFOs */
  containerState(containerId: string): string;
  /** Where network namespaces are bound. */
  readonly netns: string;
}

const PLUGIN = 'io.containerd.grpc.v1.cri';
const KUBERNETES = 'k8s.io';

/**
 * In the namespace of Kubernetes these are the plugin's own directories; in any other one, directories of its own, so
 * that two servers on one containerd never take each other's for leftovers.
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
    podUserns: (id) => join(state, 'sandboxes', id, 'pinned-namespaces', 'user'),
    imageVolumes: (id) => join(state, 'image-volumes', id),
    containerRoot: (id) => join(root, 'containers', id),
    containerState: (id) => join(state, 'containers', id),
    netns: options.netnsUnderState ? join(state, 'netns') : '/var/run/netns',
  };
}
