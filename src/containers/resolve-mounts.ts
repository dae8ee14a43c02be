import { mkdir, realpath, stat } from 'node:fs/promises';
import { MountPropagation, type Mount } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument, isCode } from '../base/errors.js';
import { lookAt, unanswered } from '../host/files/foreign-paths.js';
import { mountOf, readMountInfo } from '../host/mount/mount-calls.js';
import { relabelTree } from '../host/security/host-selinux.js';
import { fromRoot } from '../spec/clean-path.js';
import { isMountOption } from '../spec/mounts/mount-options.js';
import { propagationCheck } from '../spec/mounts/propagation.js';
import type { ResolvedMount } from '../spec/types.js';
import type { MountedImage } from './image-mounts.js';

/**
 * Resolves the CRI's mounts on the host: makes a missing source as a directory (0755), as other CRI servers do,
 * resolves links, and checks the requested propagation against the mount that contains the source. Relabels a source
 * only when the request says so. INVALID_ARGUMENT names the mount; FAILED_PRECONDITION: the source cannot be used, or
 * cannot be shared as asked; UNAVAILABLE: the file server of the source does not answer.
 */
export async function resolveMounts(
  mounts: readonly Mount[],
  { images = new Map(), mountLabel = '', signal }: ResolveOptions = {},
): Promise<ResolvedMount[]> {
  const infos = mounts.some(({ propagation }) => propagation !== MountPropagation.PROPAGATION_PRIVATE)
    ? await readMountInfo()
    : [];
  return Promise.all(
    mounts.map(async (mount, index) => {
      const field = `config.mounts[${index}]`;
      const image = images.get(index);
      const hostPath = image?.path ?? (await resolveSource(mount.host_path, field));
      if (mountLabel !== '' && mount.selinux_relabel && image === undefined) {
        await relabelTree(hostPath, mountLabel, `${field}.selinux_relabel`, signal);
      }
      return {
        // Runtimes resolve a relative path from the root (OCI runtime spec, "Mounts").
        containerPath: fromRoot(mount.container_path),
        hostPath,
        readonly: mount.readonly,
        recursiveReadonly: mount.recursive_read_only,
        propagation: propagationCheck({ hostPath, propagation: mount.propagation }, mountOf(hostPath, infos)),
        options: mount.mount_options.filter(isMountOption),
        uidMappings: mount.uidMappings,
        gidMappings: mount.gidMappings,
        kind: image === undefined ? ('bind' as const) : ('image' as const),
        imageId: image?.id,
      };
    }),
  );
}

interface ResolveOptions {
  /** The mounted images, by the index of the mount. */
  readonly images?: ReadonlyMap<number, MountedImage>;
  /** The SELinux label of the container's files; "" without SELinux. */
  readonly mountLabel?: string;
  /** Aborts a relabel at its next file. */
  readonly signal?: AbortSignal;
}

async function resolveSource(path: string, field: string): Promise<string> {
  if (!path.startsWith('/'))
    throw invalidArgument(`${field}.host_path`, `expected an absolute path, received "${path}"`);
  return lookAt(SOURCE, path, () => lookAtSource(path, field)).catch((thrown: unknown) => {
    throw isCode(thrown, 'UNAVAILABLE') ? CriError.from(thrown).prefixed(`${field}.host_path`) : thrown;
  });
}

const SOURCE = 'mount source';

/** Returns a source of these mounts that does not answer, for `waitingOn` of a step. */
export const unansweredSource = (mounts: readonly Mount[]): string | undefined =>
  unanswered(
    SOURCE,
    mounts.map(({ host_path }) => host_path),
  );

async function lookAtSource(path: string, field: string): Promise<string> {
  try {
    await stat(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw sourceError(field, path, thrown);
    await mkdir(path, { recursive: true, mode: 0o755 }).catch((error: unknown) => {
      throw sourceError(field, path, error);
    });
  }
  return realpath(path).catch((error: unknown) => {
    throw sourceError(field, path, error);
  });
}

const sourceError = (field: string, path: string, thrown: unknown): CriError =>
  new CriError('FAILED_PRECONDITION', `${field}.host_path: "${path}" cannot be used: ${(thrown as Error).message}`, {
    cause: thrown,
  });
