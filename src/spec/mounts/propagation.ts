import { MountPropagation } from '../../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../../base/errors.js';
import type { Propagation } from '../types.js';

/** Propagation fields of the mount that contains a path (proc_pid_mountinfo(5)). */
export interface HostMount {
  readonly mountPoint: string;
  readonly sharedId: number | undefined;
  readonly masterId: number | undefined;
}

/**
 * Returns the propagation of a CRI mount whose source (links resolved) is on the mount `host`. FAILED_PRECONDITION when
 * `host` does not allow it: BIDIRECTIONAL needs a shared mount, HOST_TO_CONTAINER a shared or a slave mount.
 * INVALID_ARGUMENT for an unknown value.
 */
export function propagationCheck(
  mount: { readonly hostPath: string; readonly propagation: MountPropagation },
  host: HostMount | undefined,
): Propagation {
  const shared = host?.sharedId !== undefined;
  const slave = host?.masterId !== undefined;
  switch (mount.propagation) {
    case MountPropagation.PROPAGATION_PRIVATE:
      return 'rprivate';
    case MountPropagation.PROPAGATION_BIDIRECTIONAL:
      if (!shared) throw refused(mount.hostPath, host, 'a shared mount');
      return 'rshared';
    case MountPropagation.PROPAGATION_HOST_TO_CONTAINER:
      if (!shared && !slave) throw refused(mount.hostPath, host, 'a shared or slave mount');
      return 'rslave';
    default:
      throw invalidArgument('config.mounts.propagation', `unknown value ${mount.propagation}`);
  }
}

// The kubelet's tests look for these words.
const refused = (path: string, host: HostMount | undefined, wanted: string): CriError =>
  new CriError(
    'FAILED_PRECONDITION',
    `path "${path}" is mounted on "${host?.mountPoint ?? '/'}" but it is not ${wanted}`,
  );
