import { createNetns, removeNetns } from '../host/namespace/netns.js';
import { ensureDirectory } from '../host/files/files.js';
import { createUserNetns, unpinNamespace } from '../host/namespace/user-netns.js';
import type { Directories } from '../state/directories.js';
import { podUserNamespace } from '../state/pod-view.js';
import type { Pod } from '../state/records.js';

/** The namespaces of pods that are not on the host's network, each kept open by a bind mount. */
export interface Namespaces {
  /**
   * Creates the network namespace, owned by the pod's user namespace if it has one: only the owner can set the sysctls
   * of the network namespace and mount its sysfs.
   */
  create(pod: Pod): Promise<void>;
  /** Succeeds when they are gone. */
  remove(pod: Pod): Promise<void>;
}

export const createNamespaces = (directories: Directories): Namespaces => ({
  async create({ id, config, netnsPath, sandboxer }) {
    const userNamespace = podUserNamespace(config);
    if (!userNamespace) return createNetns(netnsPath);
    const usernsPath = directories.podUserns(id);
    await ensureDirectory(directories.podState(id), 0o700);
    await createUserNetns({ ...userNamespace, netnsPath, usernsPath });
    // A sandbox controller finds the user namespace through the network namespace, and binds it to this path itself.
    if (sandboxer !== undefined) await unpinNamespace(usernsPath);
  },
  async remove({ id, netnsPath }) {
    await Promise.all([removeNetns(netnsPath), unpinNamespace(directories.podUserns(id))]);
  },
});
