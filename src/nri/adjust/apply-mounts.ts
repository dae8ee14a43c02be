import type { Mount } from '../../../generated/nri/v1alpha1/api.js';
import { cleanPath, depthOf } from '../../spec/clean-path.js';
import type { OciMount, OciSpec } from '../../spec/oci.js';
import { markedKey } from './removal.js';

/**
 * Applies mounts: a mount replaces the one at its destination. The mounts are then sorted by depth and destination, so
 * that none hides another. A shared or slave mount changes the propagation of the rootfs, as for a mount of the CRI.
 */
export function applyMounts(spec: OciSpec, asked: readonly Mount[]): OciSpec {
  const changes = asked.map((mount) => ({ mount, ...markedKey(mount.destination) }));
  const replaced = new Set(changes.map(({ key }) => cleanPath(key)));
  const added = changes.filter(({ removed }) => !removed).map(({ mount }) => mountOf(mount));
  const kept = spec.mounts.filter(({ destination }) => !replaced.has(cleanPath(destination)));
  const propagation = rootPropagation(spec.linux.rootfsPropagation, added);
  return {
    ...spec,
    mounts: [...kept, ...added].sort(byDepth),
    linux: { ...spec.linux, ...(propagation && { rootfsPropagation: propagation }) },
  };
}

/** `rshared`, `rslave` or `rprivate`, if the mount has one of them; the last one counts. */
export const propagationOf = ({
  options = [],
}: {
  readonly options?: readonly string[] | undefined;
}): string | undefined => options.findLast((option) => PROPAGATIONS.includes(option));

/** A pseudo-option that asks the runtime for the container's SELinux label on the source (NRI's pkg/api/mount.go). */
export const RELABEL = 'relabel';

export const isBind = ({ type, options }: Pick<Mount, 'type' | 'options'>): boolean =>
  type === 'bind' || options.includes('bind') || options.includes('rbind');

const PROPAGATIONS = ['rprivate', 'rshared', 'rslave'];

const mountOf = ({ destination, type, source, options }: Mount): OciMount => ({
  destination,
  ...(type !== '' && { type }),
  ...(source !== '' && { source }),
  ...(options.some(isOption) && { options: options.filter(isOption) }),
});

/** An OCI runtime would hand the pseudo-option to the file system. */
const isOption = (option: string): boolean => option !== RELABEL;

function rootPropagation(before: string | undefined, added: readonly OciMount[]): string | undefined {
  const wanted = added.map(propagationOf);
  if (wanted.includes('rshared')) return 'rshared';
  return wanted.includes('rslave') && before !== 'rshared' ? 'rslave' : before;
}

const byDepth = (one: OciMount, other: OciMount): number =>
  depthOf(one.destination) - depthOf(other.destination) || (one.destination < other.destination ? -1 : 1);
