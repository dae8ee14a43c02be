import { ensureDirectory, removeEmpty } from '../host/files/files.js';
import { removeNetns } from '../host/namespace/netns.js';
import { pinNamespaces, pinOwnNamespace, unpinAll } from '../host/namespace/pin-namespaces.js';
import type { Directories } from '../state/directories.js';
import { hasController, isPinned, pinnedNamespaces, podUserNamespace } from '../state/pod-view.js';
import type { Pod } from '../state/records.js';

/** The namespaces of pods that crid makes, each kept open by a bind mount. */
export interface Namespaces {
  /**
   * Creates the network namespace of a pod with a network of its own, and all namespaces of a pod without a sandbox
   * process. A user namespace owns the others: only the owner can set their sysctls and mount the sysfs of the network
   * namespace.
   */
  create(pod: Pod): Promise<void>;
  /** Succeeds when they are gone. */
  remove(pod: Pod): Promise<void>;
}

export const createNamespaces = (directories: Directories): Namespaces => ({
  async create(pod) {
    const { id, config, netnsPath } = pod;
    const userNamespace = podUserNamespace(config);
    if (userNamespace || isPinned(pod)) {
      for (const directory of [directories.podState(id), directories.podNamespaces(id)])
        await ensureDirectory(directory, 0o700);
    }
    if (!isPinned(pod)) {
      // A sandbox controller finds the user namespace through the network namespace, and binds it to this path itself.
      const user = userNamespace && !hasController(pod) ? { user: directories.podNamespace(id, 'user') } : {};
      await pinNamespaces({ paths: { net: netnsPath, ...user }, userNamespace });
      return;
    }
    const paths = pinnedNamespaces(directories, pod);
    await pinNamespaces({ paths, userNamespace, hostname: config.hostname });
    // Each such pod has at least this one, since a reboot must show.
    if (paths.uts === undefined) await pinOwnNamespace('uts', directories.podNamespace(id, 'uts'));
  },
  async remove({ id, netnsPath }) {
    await Promise.all([...(netnsPath === '' ? [] : [removeNetns(netnsPath)]), unpinAll(directories.podNamespaces(id))]);
    for (const directory of [directories.podNamespaces(id), directories.podState(id)]) await removeEmpty(directory);
  },
});
