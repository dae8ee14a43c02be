import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../base/errors.js';
import type { ContainerDeps } from '../containers/container-deps.js';
import { isPullLease } from '../images/pull-lease.js';
import { ownActivations } from '../sandboxer/active-mounts.js';
import { LEASE_LABEL } from '../state/labels.js';

/** The form of the ids of pods and containers: 64 hex digits. */
export const ID = /^[0-9a-f]{64}$/;

/** Resources that existed before the first call, so that no later operation has made them. */
export interface Leftovers {
  /** Directories of pods and containers, whether a record claims them or not. */
  readonly directories: readonly { readonly id: string; readonly path: string }[];
  /** Ids of pods with mounted images. */
  readonly imageVolumes: readonly string[];
  readonly podLeases: readonly string[];
  readonly pullLeases: readonly string[];
  /** Names of activations of the mount manager. */
  readonly activations: readonly string[];
}

/**
 * Lists what an earlier run may have left. A directory that cannot be listed is left for the next start without a log
 * line. If the leases or activations cannot be listed, that is logged, and none is released.
 */
export async function findLeftovers({
  containerd,
  directories,
  log,
}: Pick<ContainerDeps, 'containerd' | 'directories' | 'log'>): Promise<Leftovers> {
  const parents = ['sandboxes', 'containers'].flatMap((kind) => [
    join(directories.root, kind),
    join(directories.state, kind),
  ]);
  const notListed =
    (what: string) =>
    (thrown: unknown): [] => {
      log.error({ err: CriError.from(thrown).message }, `${what} not listed, none is released`);
      return [];
    };
  const [found, imageVolumes, leases, activations] = await Promise.all([
    Promise.all(parents.map(async (parent) => (await idsIn(parent)).map((id) => ({ id, path: join(parent, id) })))),
    idsIn(join(directories.state, 'image-volumes')),
    containerd.leases.list([]).catch(notListed('leases')),
    ownActivations(containerd).catch(notListed('activations of mounts')),
  ]);
  return {
    directories: found.flat(),
    imageVolumes,
    podLeases: leases.filter(({ labels }) => labels[LEASE_LABEL] === 'true').map(({ id }) => id),
    pullLeases: leases.map(({ id }) => id).filter(isPullLease),
    activations,
  };
}

const idsIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory).catch(() => [] as string[])).filter((name) => ID.test(name));
