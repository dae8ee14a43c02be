import { join } from 'node:path';
import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { SnapshotMount } from '../containerd/containerd.js';
import { ensureDirectory } from '../host/files/files.js';
import { openRootfs, type Rootfs } from '../host/files/rootfs.js';
import { withActiveMounts } from '../sandboxer/active-mounts.js';
import type { ContainerSpecInput } from '../spec/types.js';
import { needsUserLookup, userRequest } from '../spec/user/user.js';
import type { LocalImage } from '../state/image-cache.js';
import type { ContainerDeps } from './container-deps.js';
import { readUser, userFrom, type Accounts } from './read-user.js';
import type { FromRootfs, Subject } from './spec-input.js';

/**
 * Resolves the user by the rootfs's own passwd and group, and copies the image's VOLUMEs out of the rootfs. An aborted
 * `signal` ends the work between two files, or between two pieces of one.
 */
export async function readRootfs(
  deps: Pick<ContainerDeps, 'accounts' | 'config' | 'containerd' | 'directories'>,
  { id, config, image, handler }: Subject,
  mounts: readonly SnapshotMount[],
  signal: AbortSignal,
): Promise<FromRootfs> {
  const paths = deps.config.runtime.ignore_image_defined_volumes ? [] : volumePaths(config, image);
  const request = userRequest(config.linux?.security_context, image.config.config?.User ?? '');
  const known = needsUserLookup(request) ? deps.accounts.of(image.chainId) : NO_ACCOUNTS;
  if (paths.length === 0 && known) return { user: userFrom(known, request), volumes: [] };
  const { snapshotter } = handler;
  const snapshot = { snapshotter, key: id, mounts };
  return withActiveMounts(deps.containerd, snapshot, signal, async (active) => {
    const rootfs = await openRootfs(active, deps.directories.scratch).catch((thrown: unknown) => {
      throw CriError.from(thrown).prefixed(`snapshotter "${snapshotter}"`);
    });
    try {
      const user = known ? userFrom(known, request) : await lookUp(deps, rootfs, request, image.chainId, signal);
      return { user, volumes: await copyVolumes(deps, id, rootfs, paths, signal) };
    } finally {
      const closed = rootfs.close();
      // Whatever the mount manager has made stays busy until then.
      if (active !== mounts) await closed;
    }
  });
}

const NO_ACCOUNTS: Accounts = { passwd: undefined, group: undefined };

async function lookUp(
  deps: Pick<ContainerDeps, 'accounts'>,
  rootfs: Rootfs,
  request: Parameters<typeof readUser>[1],
  chainId: string,
  signal: AbortSignal,
): Promise<FromRootfs['user']> {
  const { user, accounts } = await readUser(rootfs, request, signal);
  if (accounts) deps.accounts.keep(chainId, accounts);
  return user;
}

/** VOLUMEs of the image that the request does not mount over. */
function volumePaths(config: ContainerConfig, image: LocalImage): string[] {
  const mounted = new Set(config.mounts.map(({ container_path }) => join('/', container_path)));
  return Object.keys(image.config.config?.Volumes ?? {}).filter((path) => !mounted.has(join('/', path)));
}

async function copyVolumes(
  deps: Pick<ContainerDeps, 'directories'>,
  id: string,
  rootfs: Rootfs,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<ContainerSpecInput['volumes']> {
  const root = join(deps.directories.containerRoot(id), 'volumes');
  return Promise.all(
    paths.map(async (path, index) => {
      const hostPath = join(root, String(index));
      // A VOLUME that is missing in the image begins empty.
      await ensureDirectory(hostPath, 0o755);
      if (!(await rootfs.copyTree(path, hostPath, signal))) await refuseFile(rootfs, path);
      return { containerPath: join('/', path), hostPath };
    }),
  );
}

/**
 * Throws INVALID_ARGUMENT for a VOLUME that is a file in the image. A directory cannot be mounted over a file, and the
 * runtime's error at the start would name neither image nor VOLUME.
 */
async function refuseFile(rootfs: Rootfs, path: string): Promise<void> {
  const found = await rootfs.stat(path);
  if (found === undefined || found.kind === 'directory') return;
  throw invalidArgument(`VOLUME "${path}" of the image`, 'the image has a file at this path');
}
