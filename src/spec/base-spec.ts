import { DENY_ALL } from './devices.js';
import { defaultMounts, MASKED_PATHS, READONLY_PATHS } from './mounts/default-mounts.js';
import type { OciSpec } from './oci.js';
import { defaultCapabilities } from './security/capabilities.js';

/** The version of the OCI runtime spec that crid's specs need, for mounts with id mappings. */
export const OCI_VERSION = '1.2.1';

/** The path of a task's rootfs in its bundle. */
export const ROOTFS_PATH = 'rootfs';

/**
 * Returns the starting point of a container's spec: a handler's `base_runtime_spec` with defaults for its missing
 * fields, or only defaults. Seccomp, AppArmor and rlimits have no default here.
 */
export function baseSpec(base: OciSpec | undefined): OciSpec {
  return {
    ...base,
    ociVersion: base?.ociVersion || OCI_VERSION,
    process: {
      ...base?.process,
      user: base?.process?.user ?? { uid: 0, gid: 0 },
      args: base?.process?.args ?? [],
      env: base?.process?.env ?? [],
      cwd: base?.process?.cwd || '/',
      capabilities: base?.process?.capabilities ?? defaultCapabilities(),
    },
    root: { ...base?.root, path: ROOTFS_PATH },
    mounts: base?.mounts ?? defaultMounts(),
    linux: {
      ...base?.linux,
      maskedPaths: base?.linux?.maskedPaths ?? [...MASKED_PATHS],
      readonlyPaths: base?.linux?.readonlyPaths ?? [...READONLY_PATHS],
      resources: base?.linux?.resources ?? { devices: [DENY_ALL] },
      namespaces: base?.linux?.namespaces ?? [],
    },
  };
}
