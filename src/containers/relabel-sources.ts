import { realpath } from 'node:fs/promises';
import type { Mount } from '../../generated/nri/v1alpha1/api.js';
import { lookAt } from '../host/files/foreign-paths.js';
import { relabelTree } from '../host/security/host-selinux.js';
import { RELABEL } from '../nri/adjust/apply-mounts.js';
import { markedKey } from '../nri/adjust/removal.js';

/**
 * Gives the sources of a plugin's mounts with the option `relabel` the SELinux label of the container, as
 * `selinux_relabel` of the CRI. Does nothing without SELinux, where the label is empty.
 */
export async function relabelSources(
  mounts: readonly Mount[],
  label: string,
  signal: AbortSignal,
  relabel: typeof relabelTree = relabelTree,
): Promise<void> {
  if (label === '') return;
  for (const [index, { source, destination, options }] of mounts.entries()) {
    if (!options.includes(RELABEL) || markedKey(destination).removed) continue;
    const path = await lookAt('mount source', source, () => realpath(source));
    await relabel(path, label, `adjust.mounts[${index}].source`, signal);
  }
}
