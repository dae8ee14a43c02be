import { join } from 'node:path';
import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import type { SnapshotMount } from '../containerd/containerd.js';
import { ensureDirectory } from '../host/paths.js';
import { openRootfs, type Rootfs } from '../host/rootfs.js';
import type { ContainerSpecInput } from '../spec/types.js';
import { needsUserLookup, resolveUser, userRequest } from '../spec/user.js';
import type { LocalImage } from '../state/images.js';
import type { ContainerDeps } from './deps.js';
import type { FromRootfs, Subject } from './spec-input.js';

const MAX_ACCOUNT_FILE_BYTES = 16 * 1024 * 1024;

/** The user by the rootfs's own passwd and group, and the VOLUMEs of the image copied out of it. */
export async function readRootfs(
  deps: ContainerDeps,
  { id, config, image }: Subject,
  mounts: readonly SnapshotMount[],
): Promise<FromRootfs> {
  const paths = deps.config.runtime.ignore_image_defined_volumes ? [] : volumePaths(config, image);
  const request = userRequest(config.linux?.security_context, image.config.config?.User ?? '');
  const known = needsUserLookup(request) ? kept.get(image.chainId) : NO_ACCOUNTS;
  if (paths.length === 0 && known) return { user: resolveUser({ ...request, ...known }), volumes: [] };
  const rootfs = await openRootfs(mounts);
  try {
    const accounts = known ?? keep(image.chainId, await readAccounts(rootfs));
    return { user: resolveUser({ ...request, ...accounts }), volumes: await copyVolumes(deps, id, rootfs, paths) };
  } finally {
    rootfs.close();
  }
}

interface Accounts {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

const NO_ACCOUNTS: Accounts = { passwd: undefined, group: undefined };

/**
 * By chain id: a new container's rootfs is its image's layers and nothing else, so it need not be mounted again to read
 * the same two files.
 */
const kept = new Map<string, Accounts>();
const MAX_KEPT = 128;
const MAX_KEPT_CHARACTERS = 32 * 1024;

function keep(chainId: string, accounts: Accounts): Accounts {
  if ((accounts.passwd?.length ?? 0) + (accounts.group?.length ?? 0) > MAX_KEPT_CHARACTERS) return accounts;
  kept.set(chainId, accounts);
  const [oldest] = kept.keys();
  if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  return accounts;
}

async function readAccounts(rootfs: Rootfs): Promise<Accounts> {
  const [passwd, group] = await Promise.all([readText(rootfs, '/etc/passwd'), readText(rootfs, '/etc/group')]);
  return { passwd, group };
}

async function readText(rootfs: Rootfs, path: string): Promise<string | undefined> {
  const bytes = await rootfs.readFile(path, MAX_ACCOUNT_FILE_BYTES);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}

/** VOLUMEs of the image that the request does not mount over. */
function volumePaths(config: ContainerConfig, image: LocalImage): string[] {
  const mounted = new Set(config.mounts.map(({ container_path }) => join('/', container_path)));
  return Object.keys(image.config.config?.Volumes ?? {}).filter((path) => !mounted.has(join('/', path)));
}

async function copyVolumes(
  deps: ContainerDeps,
  id: string,
  rootfs: Rootfs,
  paths: readonly string[],
): Promise<ContainerSpecInput['volumes']> {
  const root = join(deps.directories.containerRoot(id), 'volumes');
  return Promise.all(
    paths.map(async (path, index) => {
      const hostPath = join(root, String(index));
      // One that is missing in the image, or no directory there, begins empty.
      await ensureDirectory(hostPath, 0o755);
      await rootfs.copyTree(path, hostPath);
      return { containerPath: join('/', path), hostPath };
    }),
  );
}
